// SPDX-License-Identifier: Apache-2.0
// Shell completion and the man page, made of the commands themselves, so that they are never
// behind.
#include "context.hpp"
#include "manual.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>

namespace elisactl {
namespace {

std::vector<std::string> words_of(const CLI::App &app)
{
    std::vector<std::string> words;
    for (const CLI::App *const command : apps::commands_of(app)) {
        words.push_back(command->get_name());
    }
    for (const CLI::Option *const option : apps::options_of(app)) {
        for (const std::string &name : option->get_lnames()) {
            words.push_back("--" + name);
        }
    }
    return words;
}

std::string joined(const std::vector<std::string> &words)
{
    std::string text;
    for (const std::string &word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

void bash_cases(const CLI::App &app, const std::string &path, const std::string &always,
                std::string &out)
{
    std::string words = joined(words_of(app)) + always;
    out += fmt::format("    '{}') words='{}' ;;\n", path, words);
    for (const CLI::App *const command : apps::commands_of(app)) {
        bash_cases(*command, path.empty() ? command->get_name() : path + " " + command->get_name(),
                   " --json --socket", out);
    }
}

std::string all_commands(const CLI::App &app, const std::string &path)
{
    std::string out;
    for (const CLI::App *const command : apps::commands_of(app)) {
        const std::string name =
            path.empty() ? command->get_name() : path + " " + command->get_name();
        out += (out.empty() ? "" : "|") + ("'" + name + "'");
        const std::string below = all_commands(*command, name);
        out += below.empty() ? "" : "|" + below;
    }
    return out;
}

std::string bash_completion(const CLI::App &app)
{
    std::string out = "# bash completion for elisactl; made by `elisactl completion bash`\n"
                      "_elisactl()\n{\n"
                      "    local word path= words= i\n"
                      "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                      "        word=${COMP_WORDS[i]}\n"
                      "        case \"${path:+$path }$word\" in\n"
                      "        ";
    out += all_commands(app, "");
    out += ") path=\"${path:+$path }$word\" ;;\n        esac\n    done\n    case $path in\n";
    bash_cases(app, "", "", out);
    out += "    esac\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
           "}\n"
           "complete -o default -F _elisactl elisactl\n";
    return out;
}

apps::Manual manual()
{
    return {
        .section = "8",
        .synopsis = "[\\-\\-json] [\\-\\-socket PATH] COMMAND [ARGUMENTS]",
        .description =
            ".B host\nand\n.B export\nask the kernel module by /dev/elisa: they run on the host, as root. The other commands ask the\n"
            "manager, vmnet, by its control socket: they run where vmnet does, which is the manager's VM with the elisa\n"
            "backend, and this machine with the direct one.\n.B doctor\nlooks at what there is.",
        .more =
            ".SH FILES\n.TP\n.I /run/elisa/EXPORT.sock\nthe manager's control socket, unless it was told another\n"
            ".TP\n.I /dev/elisa\nthe kernel module\n.SH SEE ALSO\n.BR vmnet (1),\n.BR pcap\\-filter (7),\n.BR tshark (1)\n",
        .exit_status =
            "0 if all went well, 1 if it was refused or something is wrong (the reason is on standard error, and with\n"
            "\\-\\-json also in {\"ok\": false, \"error\": ...}), above if the arguments make no sense."};
}

} // namespace

void add_texts(CLI::App &app, Context &context)
{
    const auto shell = std::make_shared<std::string>("bash");
    auto *const completion = app.add_subcommand("completion", "Print the completion for a shell");
    completion->add_option("SHELL", *shell, "bash (zsh reads it after bashcompinit)")
        ->check(CLI::IsMember({"bash"}));
    completion->callback([&app, &context] {
        context.action = [&app] {
            fmt::print("{}", bash_completion(app));
            return 0;
        };
    });
    app.add_subcommand("man", "Print the manual page")->callback([&app, &context] {
        context.action = [&app] {
            fmt::print("{}", apps::manual_page(app, manual()));
            return 0;
        };
    });
}

} // namespace elisactl
