# cmake -D OUT=page.cc -D DIR=page -P embed_page.cmake: the page's files as one C++ source.
set(bytes "")
set(table "")
set(number 0)
foreach(entry "/:index.html:text/html$<SEMICOLON> charset=utf-8" "/style.css:style.css:text/css"
        "/app.js:app.js:text/javascript" "/texts.js:texts.js:text/javascript"
        "/car.svg:car.svg:image/svg+xml")
  string(REPLACE "$<SEMICOLON>" "@" entry "${entry}")
  string(REPLACE ":" ";" parts "${entry}")
  list(GET parts 0 target)
  list(GET parts 1 name)
  list(GET parts 2 type)
  string(REPLACE "@" ";" type "${type}")
  file(READ "${DIR}/${name}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR length "${digits} / 2")
  string(REGEX REPLACE "(..)" "0x\\1," hex "${hex}")
  string(APPEND bytes "constexpr unsigned char kFile${number}[] = {${hex}};\n")
  string(APPEND table "    {\"${target}\", \"${type}\", {reinterpret_cast<const char*>(kFile${number}), ${length}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUT}" "#include \"samples/car/page.h\"

namespace layby::samples {
namespace {

${bytes}
const PageFile kFiles[] = {
${table}};

}  // namespace

const PageFile* page_file(std::string_view target) {
  for (const PageFile& file : kFiles)
    if (file.target == target) return &file;
  return nullptr;
}

}  // namespace layby::samples
")
