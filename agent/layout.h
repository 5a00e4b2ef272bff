// Where things lie below the state directory (README.md has the table).
#pragma once

#include <string>

#include "agent/record.h"

namespace layby::agent {

class Layout {
 public:
  explicit Layout(std::string directory) : directory_(std::move(directory)) {}

  const std::string& directory() const { return directory_; }
  // `path` as it stands in a record.
  std::string absolute(const std::string& path) const { return directory_ + "/" + path; }

  std::string identity() const { return absolute("car.json"); }
  std::string lock() const { return absolute("lock"); }
  std::string keys() const { return absolute("keys"); }
  std::string ecu_key() const { return absolute("keys/ecu.key"); }
  std::string seal_key() const { return absolute("keys/seal.key"); }
  std::string tls_key() const { return absolute("keys/tls.key"); }
  std::string certificate() const { return absolute("keys/certificate.pem"); }
  std::string renewal() const { return absolute("keys/renewal.pem"); }
  std::string ca() const { return absolute("keys/ca.pem"); }
  std::string director_trust() const { return absolute("trust/director"); }
  std::string image_trust() const { return absolute("trust/image"); }
  // Delegated roles of the Image repository.
  std::string delegated_trust() const { return absolute("trust/image/delegated"); }
  std::string outbox() const { return absolute("outbox"); }
  std::string pending_manifest() const { return absolute("outbox/manifest.json"); }
  std::string licences() const { return absolute("licences"); }
  std::string licence(const manifest::FunctionId& id) const {
    return absolute("licences/" + id.text() + ".licence");
  }
  std::string functions() const { return absolute("functions"); }
  std::string maps() const { return absolute("maps"); }
  std::string regions() const { return absolute("maps/regions"); }
  std::string sets() const { return absolute("maps/sets"); }
  std::string set(std::uint64_t number) const {
    return absolute("maps/sets/" + std::to_string(number));
  }
  std::string current_set() const { return absolute("maps/current"); }
  std::string software() const { return absolute("software"); }
  // Who the car's other ECUs are, and the images that they were given last, as bases of deltas.
  std::string ecus() const { return absolute("ecus.json"); }
  std::string ecu_images() const { return absolute("ecus"); }
  std::string inbox() const { return absolute("inbox"); }

  // The head of the payload of an order's image, and the image itself while it is made.
  std::string head(const OrderRecord& order, std::size_t image) const;
  std::string staging(const OrderRecord& order, std::size_t image, const Record& record) const;

  // Holds the room that an order's maps need to be unpacked.
  std::string room(const OrderRecord& order) const {
    return absolute("inbox/" + order.id.text() + ".room");
  }

  // Paths as they stand in a record, where an image lies once it is installed. Names carry the
  // digest, so that old and new lie side by side.
  static std::string region_path(const ImageProgress& image);
  static std::string package_path(const ImageProgress& image);
  static std::string ecu_image_path(const ImageProgress& image);
  static std::string software_path(BootSlot slot);
  // The software slot that is in use; where no image of it is known, the one that ran when the car
  // was made, slot A if nobody has said. And the other one, which is written.
  static std::string live_software_path(const Record& record);
  static std::string spare_software_path(const Record& record);

 private:
  std::string directory_;
};

}  // namespace layby::agent
