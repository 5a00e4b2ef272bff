# The .deb files: `cpack -B build/deb --config build/release/CPackConfig.cmake` after a build.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME layby)
set(CPACK_PACKAGE_VENDOR "Layby")
set(CPACK_PACKAGE_CONTACT "The Layby developers <layby@example.org>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
# Whatever the umask of who builds.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
  WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL agent server tools lib dev)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE "https://example.org/layby")
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(layby_deb ${CMAKE_CURRENT_SOURCE_DIR}/deb)

# layby_deb(COMPONENT PACKAGE SECTION SUMMARY LONG)
function(layby_deb component package section summary long)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${summary}\n${long}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${summary}\n${long}" PARENT_SCOPE)
  # Debian wants a copyright and a changelog in each.
  install(FILES ${layby_deb}/copyright DESTINATION share/doc/${package} COMPONENT ${component})
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/changelog.Debian.gz DESTINATION share/doc/${package} COMPONENT ${component})
endfunction()

execute_process(COMMAND gzip -9nc ${layby_deb}/changelog OUTPUT_FILE ${CMAKE_CURRENT_BINARY_DIR}/changelog.Debian.gz
  COMMAND_ERROR_IS_FATAL ANY)

layby_deb(agent layby-agent net "over-the-air agent of a car"
"Fetches, verifies and installs functions, maps and software that a car
has ordered from a Layby fleet server, when the car stands parked, off,
locked and unplugged.")
layby_deb(server laybyd net "over-the-air fleet server for cars"
"Orders, releases, rollouts, the metadata of two Uptane repositories and
delta payloads for a fleet of cars, in one process and one directory.")
layby_deb(tools layby-tools utils "command line of a Layby fleet, payloads and a TUF client"
"layby talks to a fleet server, layby-delta makes and applies payloads,
layby-tuf follows a repository of The Update Framework.")
layby_deb(lib liblayby0 libs "over-the-air agent of a car for programs in C"
"The agent as a shared library with a C interface: the host gives clock,
disk, transport, car, allocator and log.")
layby_deb(dev liblayby-dev libdevel "over-the-air agent of a car: headers and static libraries"
"What programs are built with that embed the agent, in C or C++, with
files for CMake and pkg-config.")

set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "liblayby0 (= ${PROJECT_VERSION}-1), libarchive-dev, libcurl4-openssl-dev | libcurl4-gnutls-dev, libdivsufsort-dev, libexpected-dev, libfmt-dev, liblzma-dev, libp11-kit-dev, libsodium-dev, libssl-dev, libzstd-dev, nlohmann-json3-dev, zlib1g-dev")
set(CPACK_DEBIAN_AGENT_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS "layby-tools")
set(CPACK_DEBIAN_LIB_PACKAGE_CONTROL_EXTRA ${layby_deb}/lib/triggers ${layby_deb}/lib/shlibs)
foreach(component agent server)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA
    ${layby_deb}/${component}/postinst ${layby_deb}/${component}/prerm ${layby_deb}/${component}/postrm)
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_STRICT_PERMISSION ON)
endforeach()
include(CPack)
