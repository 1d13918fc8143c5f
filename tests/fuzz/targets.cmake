# SPDX-License-Identifier: Apache-2.0
# fuzz_target(NAME layers...): one line for each parser of bytes that somebody else wrote
