// SPDX-License-Identifier: Apache-2.0
#include "manual.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

namespace apps {
namespace {

// As troff wants it.
std::string escaped(const std::string &text)
{
    std::string out;
    for (const char c : text) {
        if (c == '-' || c == '\\') {
            out += c == '-' ? "\\-" : "\\e";
        } else {
            out +=
                (out.empty() && (c == '.' || c == '\'')) ? std::string{"\\&"} + c : std::string{c};
        }
    }
    return out;
}

std::string capitals(std::string text)
{
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
    return text;
}

void add_options(const CLI::App &app, std::string &out)
{
    for (const CLI::Option *const option : options_of(app)) {
        const std::string names =
            option->get_positional() ? option->get_name(true) : option->get_name(false, true);
        if (names == "-h,--help" || names == "--man") {
            continue;
        }
        out += ".TP\n.B " + escaped(names) + "\n" + escaped(option->get_description()) + "\n";
    }
}

// `path`: the command that this is, from the program's name on.
void add_commands(const CLI::App &app, const std::string &path, std::string &out)
{
    for (const CLI::App *const command : commands_of(app)) {
        const std::string name = path + " " + command->get_name();
        if (commands_of(*command).empty()) {
            out += ".SS " + escaped(name) + "\n" + escaped(command->get_description()) + ".\n";
            add_options(*command, out);
        }
        add_commands(*command, name, out);
    }
}

} // namespace

std::vector<const CLI::App *> commands_of(const CLI::App &app)
{
    std::vector<const CLI::App *> all;
    for (const CLI::App *const one : app.get_subcommands([](const CLI::App *) { return true; })) {
        if (!one->get_name().empty()) {
            all.push_back(one);
        }
    }
    return all;
}

std::vector<const CLI::Option *> options_of(const CLI::App &app)
{
    std::vector<const CLI::Option *> all =
        app.get_options([](const CLI::Option *) { return true; });
    for (const CLI::App *const group : app.get_subcommands([](const CLI::App *) { return true; })) {
        if (group->get_name().empty()) {
            const auto more = options_of(*group);
            all.insert(all.end(), more.begin(), more.end());
        }
    }
    return all;
}

std::string manual_page(const CLI::App &app, const Manual &manual)
{
    const std::string name = app.get_name();
    std::string what = app.get_description();
    what[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(what[0])));
    std::string out = ".TH " + escaped(capitals(name)) + " " + manual.section +
                      " \"\" \"elisa\" \"ELISA VM networking appliance\"\n.SH NAME\n" +
                      escaped(name) + " \\- " + escaped(what) + "\n.SH SYNOPSIS\n.B " +
                      escaped(name) + "\n" + manual.synopsis + "\n.SH DESCRIPTION\n" +
                      manual.description + "\n";
    std::string options;
    add_options(app, options);
    out += options.empty() ? "" : ".SH OPTIONS\n" + options;
    std::string commands;
    add_commands(app, name, commands);
    out += commands.empty() ? "" : ".SH COMMANDS\n" + commands;
    return out + ".SH EXIT STATUS\n" + manual.exit_status + "\n" + manual.more;
}

void add_manual(CLI::App &app, Manual manual)
{
    app.add_flag_callback(
        "--man",
        [&app, manual = std::move(manual)] {
            throw CLI::CallForVersion(manual_page(app, manual), 0);
        },
        "Print the manual page: --man | man -l -");
}

} // namespace apps
