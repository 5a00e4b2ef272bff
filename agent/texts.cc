#include "agent/texts.h"

#include "base/assert.h"

namespace layby::agent {
namespace {

struct Row {
  Text text;
  std::string_view in[kLanguages.size()];  // German, English, French, Italian, Dutch
};

// clang-format off
constexpr Row kTable[] = {
    {Text::kSelectPark, {
        "Bitte Wählhebel auf P stellen.",
        "Please select P.",
        "Veuillez engager la position P.",
        "Inserire la posizione P.",
        "Zet de keuzehendel in P."}},
    {Text::kParkingBrakeOn, {
        "Bitte Parkbremse anziehen.",
        "Please apply the parking brake.",
        "Veuillez serrer le frein de stationnement.",
        "Inserire il freno di stazionamento.",
        "Trek de parkeerrem aan."}},
    {Text::kPowerOff, {
        "Bitte Fahrbereitschaft mit der Power-Taste beenden.",
        "Please end drive readiness with the Power button.",
        "Veuillez couper le contact avec la touche Power.",
        "Disattivare la vettura con il tasto Power.",
        "Schakel de auto uit met de Power-knop."}},
    {Text::kDriverOut, {
        "Bitte aussteigen.",
        "Please get out of the car.",
        "Veuillez sortir du véhicule.",
        "Scendere dalla vettura.",
        "Stap uit de auto."}},
    {Text::kCloseDoors, {
        "Bitte alle Türen schließen.",
        "Please close all doors.",
        "Veuillez fermer toutes les portes.",
        "Chiudere tutte le porte.",
        "Sluit alle portieren."}},
    {Text::kLockDoors, {
        "Bitte Fahrzeug verriegeln.",
        "Please lock the car.",
        "Veuillez verrouiller le véhicule.",
        "Bloccare la vettura.",
        "Vergrendel de auto."}},
    {Text::kUnplugCable, {
        "Bitte Ladekabel abziehen.",
        "Please unplug the charging cable.",
        "Veuillez débrancher le câble de charge.",
        "Scollegare il cavo di ricarica.",
        "Koppel de laadkabel los."}},
    {Text::kChargeTraction, {
        "Bitte Hochvoltbatterie auf mindestens {} % laden.",
        "Please charge the traction battery to at least {}%.",
        "Veuillez charger la batterie de traction à au moins {} %.",
        "Caricare la batteria di trazione almeno al {}%.",
        "Laad de tractiebatterij op tot minstens {}%."}},
    {Text::kChargeLowVoltage, {
        "Die 12-Volt-Batterie ist zu schwach. Bitte fahren Sie eine Weile.",
        "The 12 volt battery is too weak. Please drive for a while.",
        "La batterie 12 volts est trop faible. Veuillez rouler un moment.",
        "La batteria a 12 volt è troppo debole. Guidare per qualche tempo.",
        "De 12-voltaccu is te zwak. Rijd een tijdje."}},
    {Text::kOwnerTime, {
        "Beginnt zur gewählten Zeit: {}",
        "Starts at the time you chose: {}",
        "Commence à l'heure choisie : {}",
        "Inizia all'ora scelta: {}",
        "Begint op het gekozen tijdstip: {}"}},
    {Text::kPackageCondition, {
        "Für dieses Update: {}",
        "For this update: {}",
        "Pour cette mise à jour : {}",
        "Per questo aggiornamento: {}",
        "Voor deze update: {}"}},
    {Text::kPrivateMode, {
        "Privatmodus ist eingeschaltet: kein Download, keine Meldungen.",
        "Private mode is on: no download, no reports.",
        "Le mode privé est activé : aucun téléchargement, aucun rapport.",
        "La modalità privata è attiva: nessun download, nessuna segnalazione.",
        "De privémodus staat aan: geen download, geen meldingen."}},
    {Text::kNoConnection, {
        "Keine Verbindung. Der Download geht von selbst weiter.",
        "No connection. The download goes on by itself.",
        "Pas de connexion. Le téléchargement reprendra de lui-même.",
        "Nessuna connessione. Il download riprenderà da solo.",
        "Geen verbinding. De download gaat vanzelf verder."}},
    {Text::kNoSpace, {
        "Zu wenig Speicherplatz für den Download.",
        "Not enough storage for the download.",
        "Espace insuffisant pour le téléchargement.",
        "Spazio insufficiente per il download.",
        "Te weinig opslagruimte voor de download."}},
    {Text::kRoaming, {
        "Kein Download im Roaming. Er geht im Heimatnetz oder im WLAN weiter.",
        "No download while roaming. It goes on in the home network or over Wi-Fi.",
        "Pas de téléchargement en itinérance. Il reprendra sur le réseau d'origine ou en Wi-Fi.",
        "Nessun download in roaming. Riprenderà nella rete di origine o tramite Wi-Fi.",
        "Geen download tijdens roaming. Hij gaat verder op het eigen netwerk of via wifi."}},
    {Text::kWaitsForWifi, {
        "Der Download wartet auf WLAN.",
        "The download waits for Wi-Fi.",
        "Le téléchargement attend une connexion Wi-Fi.",
        "Il download attende una connessione Wi-Fi.",
        "De download wacht op wifi."}},
    {Text::kCallOn2g, {
        "Der Download ruht während des Telefonats.",
        "The download pauses during the call.",
        "Le téléchargement est suspendu pendant l'appel.",
        "Il download è sospeso durante la chiamata.",
        "De download pauzeert tijdens het gesprek."}},
    {Text::kDataBudgetSpent, {
        "Das Datenvolumen dieses Monats ist verbraucht. Weiter im WLAN oder im nächsten Monat.",
        "This month's data volume is used up. It goes on over Wi-Fi or next month.",
        "Le volume de données du mois est épuisé. Suite en Wi-Fi ou le mois prochain.",
        "Il volume dati del mese è esaurito. Riprende tramite Wi-Fi o il mese prossimo.",
        "Het datavolume van deze maand is op. Verder via wifi of volgende maand."}},
    {Text::kWaitsForFunction, {
        "Die Verlängerung gilt, sobald die Funktion installiert ist.",
        "The renewal counts once the function is installed.",
        "La prolongation s'appliquera dès que la fonction sera installée.",
        "Il rinnovo varrà non appena la funzione sarà installata.",
        "De verlenging geldt zodra de functie is geïnstalleerd."}},
    {Text::kWaitsForEarlier, {
        "Beginnt, wenn die vorige Aktualisierung abgeschlossen ist.",
        "Starts when the update before it is done.",
        "Commence une fois la mise à jour précédente terminée.",
        "Inizia al termine dell'aggiornamento precedente.",
        "Begint zodra de vorige update klaar is."}},
    {Text::kWaitsForPartner, {
        "Ihr Servicepartner bringt dieses Update ins Fahrzeug.",
        "Your service partner brings this update into the car.",
        "Votre partenaire de service apporte cette mise à jour dans le véhicule.",
        "Il vostro partner di assistenza porta questo aggiornamento nel veicolo.",
        "Uw servicepartner brengt deze update in de auto."}},
    {Text::kWaitsForBootControl, {
        "Startsteuerung gestört (Code {}). Neuer Versuch folgt; bleibt es so: zu einem Partner.",
        "Boot control fails (code {}). It is tried again; if it stays so, visit a partner.",
        "Démarrage perturbé (code {}). Nouvel essai à suivre ; sinon, voir un partenaire.",
        "Avvio disturbato (codice {}). Si riprova; se persiste, recarsi presso un partner.",
        "Opstart verstoord (code {}). Nieuwe poging volgt; blijft dit, ga naar een partner."}},
    {Text::kWaitsForEcus, {
        "Beginnt, sobald das Auto eine Verbindung hatte.",
        "Starts once the car has had a connection.",
        "Commencera dès que la voiture aura eu une connexion.",
        "Inizierà non appena l'auto avrà avuto una connessione.",
        "Begint zodra de auto verbinding heeft gehad."}},
    {Text::kWaitsForLicence, {
        "Download fertig. Die Freischaltung wird vorbereitet.",
        "Download complete. The activation is being prepared.",
        "Téléchargement terminé. L'activation est en préparation.",
        "Download completato. L'attivazione è in preparazione.",
        "Download voltooid. De activering wordt voorbereid."}},
    {Text::kExitAndLock, {
        "Startet, wenn Sie aussteigen und verriegeln.",
        "Starts when you get out and lock the car.",
        "Démarre quand vous sortez et verrouillez.",
        "Inizia quando scende e blocca la vettura.",
        "Begint zodra u uitstapt en vergrendelt."}},
    {Text::kSignalMissing, {
        "Das Fahrzeug meldet nicht, ob dies erfüllt ist: {}",
        "The car does not report whether this is fulfilled: {}",
        "Le véhicule n'indique pas si cette condition est remplie : {}",
        "La vettura non segnala se questa condizione è soddisfatta: {}",
        "De auto meldt niet of hieraan is voldaan: {}"}},
    {Text::kOffered, {
        "Neu für Ihr Fahrzeug: {}",
        "New for your car: {}",
        "Nouveau pour votre véhicule : {}",
        "Novità per la sua vettura: {}",
        "Nieuw voor uw auto: {}"}},
    {Text::kFoundMaps, {
        "Ihr Fahrzeug hat neuere Karten gefunden: {}",
        "Your car has found newer maps: {}",
        "Votre véhicule a trouvé des cartes plus récentes : {}",
        "La sua vettura ha trovato mappe più recenti: {}",
        "Uw auto heeft nieuwere kaarten gevonden: {}"}},
    {Text::kMapsToOrder, {
        "Neuere Karten sind da und können bestellt werden: {}",
        "Newer maps are there and can be ordered: {}",
        "Des cartes plus récentes peuvent être commandées : {}",
        "Sono disponibili mappe più recenti da ordinare: {}",
        "Er zijn nieuwere kaarten te bestellen: {}"}},
    {Text::kDownloading, {
        "Wird geladen: {} %",
        "Downloading: {}%",
        "Téléchargement : {} %",
        "Download: {}%",
        "Wordt gedownload: {}%"}},
    {Text::kDownloaded, {
        "Download fertig: {}",
        "Download complete: {}",
        "Téléchargement terminé : {}",
        "Download completato: {}",
        "Download voltooid: {}"}},
    {Text::kDuration, {
        "Die Installation dauert etwa {}. Das Fahrzeug ist dann nicht nutzbar.",
        "The installation takes about {}. The car cannot be used meanwhile.",
        "L'installation dure environ {}. Le véhicule est alors inutilisable.",
        "L'installazione dura circa {}. La vettura non è utilizzabile.",
        "De installatie duurt ongeveer {}. De auto is dan niet te gebruiken."}},
    {Text::kInstalling, {
        "Wird installiert: {}",
        "Installing: {}",
        "Installation en cours : {}",
        "Installazione in corso: {}",
        "Wordt geïnstalleerd: {}"}},
    {Text::kRollingBack, {
        "Der vorherige Stand wird wiederhergestellt: {}",
        "Restoring the previous state: {}",
        "Rétablissement de l'état précédent : {}",
        "Ripristino dello stato precedente: {}",
        "De vorige toestand wordt hersteld: {}"}},
    {Text::kUndoFails, {
        "Das gelingt noch nicht (Code {}). Bitte fahren Sie zu einem Partner.",
        "That does not succeed yet (code {}). Please visit a partner.",
        "Cela ne réussit pas encore (code {}). Veuillez vous rendre chez un partenaire.",
        "Non ancora riuscito (codice {}). Recarsi presso un partner.",
        "Dat lukt nog niet (code {}). Ga naar een partner."}},
    {Text::kRetryLater, {
        "Nicht gelungen (Code {}). Neuer Versuch nach dem nächsten Verriegeln.",
        "It did not work (code {}). It is tried again after the next locking.",
        "Échec (code {}). Nouvel essai après le prochain verrouillage.",
        "Non riuscito (codice {}). Nuovo tentativo dopo il prossimo blocco.",
        "Niet gelukt (code {}). Nieuwe poging na de volgende vergrendeling."}},
    {Text::kActive, {
        "Aktiv: {}",
        "Active: {}",
        "Actif : {}",
        "Attivo: {}",
        "Actief: {}"}},
    {Text::kActiveUntil, {
        "Aktiv bis {}",
        "Active until {}",
        "Actif jusqu'au {}",
        "Attivo, scadenza {}",
        "Actief tot {}"}},
    {Text::kActiveUnlimited, {
        "Aktiv ohne zeitliche Grenze: {}",
        "Active without a time limit: {}",
        "Actif sans limite de durée : {}",
        "Attivo senza limiti di tempo: {}",
        "Actief zonder tijdslimiet: {}"}},
    {Text::kRemaining, {
        "noch {}",
        "{} left",
        "encore {}",
        "ancora {}",
        "nog {}"}},
    {Text::kGrace, {
        "Laufzeit abgelaufen, wird nach der Frist beim Ausschalten abgeschaltet: {}",
        "Term is over; off at the first power-off after the grace: {}",
        "Durée écoulée ; désactivée au premier arrêt après le délai : {}",
        "Periodo scaduto; disattivata al primo spegnimento dopo la proroga: {}",
        "Looptijd voorbij; uit bij de eerste keer uitschakelen na de respijttermijn: {}"}},
    {Text::kDeactivated, {
        "Ausgeschaltet: {}",
        "Switched off: {}",
        "Désactivé : {}",
        "Disattivato: {}",
        "Uitgeschakeld: {}"}},
    {Text::kExpired, {
        "Laufzeit abgelaufen: {}",
        "Term is over: {}",
        "Durée écoulée : {}",
        "Periodo scaduto: {}",
        "Looptijd voorbij: {}"}},
    {Text::kNotLicensed, {
        "Für dieses Fahrzeug nicht freigeschaltet: {}",
        "Not licensed for this car: {}",
        "Non autorisé pour ce véhicule : {}",
        "Non autorizzato per questa vettura: {}",
        "Niet vrijgegeven voor deze auto: {}"}},
    {Text::kRefused, {
        "Vom Fahrzeug abgelehnt (Code {}). Bitte wenden Sie sich an einen Partner.",
        "Refused by the car (code {}). Please contact a partner.",
        "Refusé par le véhicule (code {}). Veuillez contacter un partenaire.",
        "Rifiutato dalla vettura (codice {}). Rivolgersi a un partner.",
        "Geweigerd door de auto (code {}). Neem contact op met een partner."}},
    {Text::kFailed, {
        "Mehrfach nicht gelungen (Code {}). Bitte fahren Sie zu einem Partner.",
        "It failed several times (code {}). Please visit a partner.",
        "Plusieurs échecs (code {}). Veuillez vous rendre chez un partenaire.",
        "Non riuscito più volte (codice {}). Recarsi presso un partner.",
        "Meermaals niet gelukt (code {}). Ga naar een partner."}},
};

struct UnitRow {
  Unit unit;
  std::string_view one[kLanguages.size()], many[kLanguages.size()];
};
constexpr UnitRow kUnits[] = {
    {Unit::kMinute,
     {"Minute", "minute", "minute", "minuto", "minuut"},
     {"Minuten", "minutes", "minutes", "minuti", "minuten"}},
    {Unit::kHour,
     {"Stunde", "hour", "heure", "ora", "uur"},
     {"Stunden", "hours", "heures", "ore", "uur"}},
    {Unit::kDay,
     {"Tag", "day", "jour", "giorno", "dag"},
     {"Tage", "days", "jours", "giorni", "dagen"}},
};
// clang-format on

constexpr bool complete() {
  for (std::size_t i = 0; i < std::size(kTable); ++i) {
    if (kTable[i].text != static_cast<Text>(i)) return false;
    for (const std::string_view line : kTable[i].in)
      if (line.empty()) return false;
  }
  return std::size(kTable) == kTextCount;
}
static_assert(complete(), "a text or a language is missing, or the order differs from the enum");

}  // namespace

std::string_view to_string(Language language) {
  switch (language) {
    case Language::kGerman: return "de";
    case Language::kEnglish: return "en";
    case Language::kFrench: return "fr";
    case Language::kItalian: return "it";
    case Language::kDutch: return "nl";
  }
  LAYBY_ASSERT(false);
}

std::optional<Language> language_from(std::string_view code) {
  for (const Language language : kLanguages)
    if (to_string(language) == code) return language;
  return std::nullopt;
}

Language look_up_language(std::string_view ranges) {
  std::string range;
  const auto found = [&range]() -> std::optional<Language> {
    while (!range.empty()) {
      if (const auto language = language_from(range)) return language;
      range.resize(range.rfind('-') == std::string::npos ? 0 : range.rfind('-'));
      // A single letter only introduces what stood behind it.
      if (range.size() >= 2 && range[range.size() - 2] == '-') range.resize(range.size() - 2);
    }
    return std::nullopt;
  };
  for (const char c : std::string(ranges) + ",") {
    if (c != ',') {
      if (c != ' ') range += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (const auto language = found()) {
      return *language;
    }
  }
  return Language::kEnglish;
}

std::string_view text(Text text, Language language) {
  return kTable[static_cast<std::size_t>(text)].in[static_cast<std::size_t>(language)];
}

std::string counted(std::uint64_t count, Unit unit, Language language) {
  const UnitRow& row = kUnits[static_cast<std::size_t>(unit)];
  LAYBY_ASSERT(row.unit == unit);
  const bool is_one = count == 1 || (count == 0 && language == Language::kFrench);
  const auto& words = is_one ? row.one : row.many;
  return std::to_string(count) + " " + std::string(words[static_cast<std::size_t>(language)]);
}

std::string text_with(Text which, Language language, std::string_view argument) {
  std::string line(text(which, language));
  const std::size_t place = line.find("{}");
  LAYBY_ASSERT(place != std::string::npos);
  return line.replace(place, 2, argument);
}

Text text_of(Condition condition) {
  switch (condition) {
    case Condition::kGear: return Text::kSelectPark;
    case Condition::kParkingBrake: return Text::kParkingBrakeOn;
    case Condition::kPower: return Text::kPowerOff;
    case Condition::kDriver: return Text::kDriverOut;
    case Condition::kDoorsClosed: return Text::kCloseDoors;
    case Condition::kDoorsLocked: return Text::kLockDoors;
    case Condition::kChargingCable: return Text::kUnplugCable;
    case Condition::kTractionBattery: return Text::kChargeTraction;
    case Condition::kLowVoltageBattery: return Text::kChargeLowVoltage;
    case Condition::kOwnerTime: return Text::kOwnerTime;
    case Condition::kPackage: return Text::kPackageCondition;
  }
  LAYBY_ASSERT(false);
}

}  // namespace layby::agent
