# Asks the test binary TESTS for its tests and writes LIST, which CTest includes: one
# test per function, named WORLD/file/sentence, with WORLD as its label.
execute_process(COMMAND ${TESTS} --list OUTPUT_VARIABLE ids COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" ids "${ids}")
set(script "")
foreach(id IN LISTS ids)
  string(APPEND script
    "add_test([[${WORLD}/${id}]] [[${TESTS}]] [[${id}]])\n"
    "set_tests_properties([[${WORLD}/${id}]] PROPERTIES ENVIRONMENT PIER_TEST_MODE=${WORLD} "
    "LABELS ${WORLD} TIMEOUT ${LIMIT} SKIP_RETURN_CODE 77)\n")
endforeach()
file(WRITE ${LIST} "${script}")
