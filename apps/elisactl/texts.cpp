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

// Every command by its words, the program itself first with none: what may follow it, which in
// any shell is found by walking along the words of the line as far as they are commands.
struct Step {
    std::string path;
    std::string words;
};

void add_steps(const CLI::App &app, const std::string &path, std::vector<Step> &steps)
{
    steps.push_back({path, joined(words_of(app)) + (path.empty() ? "" : " --json --socket")});
    for (const CLI::App *const command : apps::commands_of(app)) {
        add_steps(*command, path.empty() ? command->get_name() : path + " " + command->get_name(),
                  steps);
    }
}

// One line for each, as a shell's `case` wants it.
std::string cases(const std::vector<Step> &steps, const char *line)
{
    std::string out;
    for (const Step &step : steps) {
        out += fmt::format(fmt::runtime(line), fmt::arg("path", step.path),
                           fmt::arg("words", step.words));
    }
    return out;
}

// Patterns of all commands; behind the program itself nothing is to be matched.
std::string patterns(const std::vector<Step> &steps, const char *between)
{
    std::string out;
    for (std::size_t i = 1; i < steps.size(); ++i) {
        out += (i == 1 ? "'" : std::string{between} + "'") + steps[i].path + "'";
    }
    return out;
}

std::string bash_completion(const std::vector<Step> &steps)
{
    return "# bash completion for elisactl; made by `elisactl completion bash`\n"
           "_elisactl()\n{\n"
           "    local word path= words= i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        word=${COMP_WORDS[i]}\n"
           "        case \"${path:+$path }$word\" in\n"
           "        " +
           patterns(steps, "|") +
           ") path=\"${path:+$path }$word\" ;;\n        esac\n    done\n    case $path in\n" +
           cases(steps, "    '{path}') words='{words}' ;;\n") +
           "    esac\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
           "}\n"
           "complete -o default -F _elisactl elisactl\n";
}

std::string zsh_completion(const std::vector<Step> &steps)
{
    return "#compdef elisactl\n# zsh completion; made by `elisactl completion zsh`\n"
           "_elisactl()\n{\n"
           "    local word place= found=\n"
           "    for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
           "        case \"${place:+$place }$word\" in\n"
           "        (" +
           patterns(steps, "|") +
           ") place=\"${place:+$place }$word\" ;;\n        esac\n    done\n    case $place in\n" +
           cases(steps, "    ('{path}') found='{words}' ;;\n") +
           "    esac\n"
           "    compadd -- ${=found} || _files\n"
           "}\n"
           "# Read by `source`, or loaded by its first use.\n"
           "if [[ ${funcstack[1]} == _elisactl ]]; then _elisactl \"$@\"\n"
           "else compdef _elisactl elisactl; fi\n";
}

std::string fish_completion(const std::vector<Step> &steps)
{
    return "# fish completion for elisactl; made by `elisactl completion fish`\n"
           "function __elisactl_words\n"
           "    set -l place ''\n"
           "    for word in (commandline -opc)[2..-1]\n"
           "        switch (string trim \"$place $word\")\n"
           "            case " +
           patterns(steps, " ") +
           "\n                set place (string trim \"$place $word\")\n"
           "        end\n    end\n    switch $place\n" +
           cases(steps, "        case '{path}'\n            string split -- ' ' '{words}'\n") +
           "    end\n"
           "end\n"
           "complete -c elisactl -a '(__elisactl_words)'\n";
}

std::string completion_for(const std::string &shell, const CLI::App &app)
{
    std::vector<Step> steps;
    add_steps(app, "", steps);
    return shell == "zsh"    ? zsh_completion(steps)
           : shell == "fish" ? fish_completion(steps)
                             : bash_completion(steps);
}

int say(const Context &context, const std::string &text)
{
    if (context.json) {
        Context::print({{"ok", true}, {"text", text}});
    } else {
        fmt::print("{}", text);
    }
    return 0;
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
    completion->add_option("SHELL", *shell, "bash, zsh or fish")
        ->check(CLI::IsMember({"bash", "zsh", "fish"}))
        ->capture_default_str();
    completion->callback([&app, &context, shell] {
        context.action = [&app, &context, shell] {
            return say(context, completion_for(*shell, app));
        };
    });
    app.add_subcommand("man", "Print the manual page")->callback([&app, &context] {
        context.action = [&app, &context] {
            return say(context, apps::manual_page(app, manual()));
        };
    });
}

} // namespace elisactl
