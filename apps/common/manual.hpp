// SPDX-License-Identifier: Apache-2.0
// A program's manual page, made of its commands and options, so that it is never behind.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace apps {

// What the commands and options do not say. All in troff's man macros.
struct Manual {
    std::string section;
    std::string synopsis;
    std::string description;
    std::string more; // further sections: FILES, SEE ALSO
    std::string exit_status =
        "0 if all went well, 1 if not (the reason is on standard error), above if the arguments make no sense.";
};

// In troff's man macros. The app's name is the program's.
[[nodiscard]] std::string manual_page(const CLI::App &app, const Manual &manual);

// `--man` prints it and ends the program.
void add_manual(CLI::App &app, Manual manual);

// Of an app, without groups.
[[nodiscard]] std::vector<const CLI::App *> commands_of(const CLI::App &app);
// Of an app, those of its groups, too.
[[nodiscard]] std::vector<const CLI::Option *> options_of(const CLI::App &app);

} // namespace apps
