# llama.cpp as scripts/setup left it: a prefix with the libraries and CPU modules,
# and the source tree for what is not installed (the headers of `common`, the
# vocabulary files, the chat templates).
#
# Engines find the libraries and modules in ../lib/inferd relative to themselves,
# in the build tree as in an installation; here that is a link to the prefix.

execute_process(
    COMMAND ${CMAKE_SOURCE_DIR}/scripts/setup --paths
    OUTPUT_VARIABLE paths OUTPUT_STRIP_TRAILING_WHITESPACE
    COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" paths "${paths}")
list(GET paths 0 LLAMA_PREFIX)
list(GET paths 1 LLAMA_SOURCE)

add_library(llama INTERFACE)
target_include_directories(llama SYSTEM INTERFACE ${LLAMA_PREFIX}/include)
target_link_directories(llama INTERFACE ${LLAMA_PREFIX}/lib)
target_link_libraries(llama INTERFACE -lllama -lggml -lggml-base)

# The chat templates, grammars and parsers; C++ only.
add_library(llama-common INTERFACE)
target_include_directories(llama-common SYSTEM INTERFACE
    ${LLAMA_SOURCE}/common ${LLAMA_SOURCE}/include ${LLAMA_SOURCE}/ggml/include
    ${LLAMA_SOURCE}/vendor)
target_link_libraries(llama-common INTERFACE llama -lllama-common)

file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
file(CREATE_LINK ${LLAMA_PREFIX}/lib ${CMAKE_BINARY_DIR}/lib/inferd SYMBOLIC)
set(INFERD_ENGINE_RPATH "$ORIGIN/../lib/inferd")
