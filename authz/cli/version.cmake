# SPDX-License-Identifier: Apache-2.0
# Run at each build: writes version.h, and touches it only when something changed.
execute_process(
    COMMAND git -C ${SOURCE_DIR} rev-parse --short=12 HEAD
    OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
execute_process(
    COMMAND git -C ${SOURCE_DIR} status --porcelain --untracked-files=no
    OUTPUT_VARIABLE CHANGES ERROR_QUIET)
if(NOT COMMIT)
    set(COMMIT unknown) # a source archive
elseif(CHANGES)
    string(APPEND COMMIT "+changes")
endif()
configure_file(${SOURCE_DIR}/authz/cli/version.h.in ${OUTPUT} @ONLY)
