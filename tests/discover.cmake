# Asks the test binary TESTS for its tests and writes LIST, which CTest includes: one
# test per function, named WORLD/file/sentence, with WORLD as its label.
execute_process(COMMAND ${TESTS} --list OUTPUT_VARIABLE ids COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" ids "${ids}")
set(script "")
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/tasks.txt rows REGEX "^[^#]")
foreach(id IN LISTS ids)
  set(here TRUE)
  foreach(row IN LISTS rows)
    if(WORLD STREQUAL thread OR NOT row MATCHES "^(.*[^ ])  ([^ ]+)  ")
      continue()
    endif()
    set(world ${CMAKE_MATCH_1})
    string(REPLACE "*" ".*" pattern "^${CMAKE_MATCH_2}$")
    if((world STREQUAL "*" OR world STREQUAL WORLD) AND id MATCHES "${pattern}")
      set(here FALSE)
    endif()
  endforeach()
  if(NOT here)
    continue()
  endif()
  string(APPEND script
    "add_test([[${WORLD}/${id}]] [[${TESTS}]] [[${id}]])\n"
    "set_tests_properties([[${WORLD}/${id}]] PROPERTIES ENVIRONMENT PIER_TEST_MODE=${WORLD} "
    "LABELS ${WORLD} TIMEOUT ${LIMIT} SKIP_RETURN_CODE 77)\n")
  if(id MATCHES "/sysctl_") # what it sets holds for the whole machine
    string(APPEND script "set_tests_properties([[${WORLD}/${id}]] PROPERTIES RUN_SERIAL TRUE)\n")
  endif()
endforeach()
file(WRITE ${LIST} "${script}")
