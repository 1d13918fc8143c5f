#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/settings.md says what the option tables say.

settings_doc.py TABLE_PROGRAM [--write]: compares what stands between the page's markers, "<!-- SECTION -->" and
"<!-- end of SECTION -->", with the program's tables; --write puts them there.
"""
import os
import re
import subprocess
import sys

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "settings.md")


def table(program, section):
    return subprocess.run([program, section], check=True, capture_output=True, text=True).stdout


def with_tables(page, program):
    """The page as it should be."""
    for section in ("serve", "agent"):
        begin, end = f"<!-- {section} -->\n", f"<!-- end of {section} -->\n"
        if page.count(begin) != 1 or page.count(end) != 1:
            sys.exit(f"{PAGE}: {begin!r} and {end!r} must stand there once each")
        before, rest = page.split(begin)
        page = before + begin + table(program, section) + end + rest.split(end)[1]
    return page


def main(arguments):
    programs = [argument for argument in arguments if argument != "--write"]
    if len(programs) != 1:
        sys.exit(__doc__)
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    wanted = with_tables(page, programs[0])
    if "--write" in arguments:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(wanted)
        return 0
    stale = [name for name in re.findall(r"^\| `([a-z-]+)`.*$", wanted, re.M)
             if re.findall(rf"^\| `{name}`.*$", wanted, re.M) != re.findall(rf"^\| `{name}`.*$", page, re.M)]
    if page != wanted:
        print(f"{PAGE} is stale ({', '.join(sorted(set(stale))) or 'an option is gone'}): "
              f"{sys.argv[0]} {programs[0]} --write")
        return 1
    print("docs/settings.md is what the option tables say")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
