// SPDX-License-Identifier: Apache-2.0
// The operator's tool: on the host what /dev/elisa knows, where vmnet runs what the switch does.
#include "context.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string_view>

namespace {

// Where the arguments make no sense, nobody else has looked for it.
bool wants_json(int argc, char **argv)
{
    return std::any_of(argv + 1, argv + argc,
                       [](const char *word) { return std::string_view{word} == "--json"; });
}

} // namespace

int main(int argc, char **argv)
try {
    CLI::App app{"Operates the ELISA switch and its host", "elisactl"};
    app.require_subcommand(1);
    app.fallthrough();
    elisactl::Context context;
    app.add_flag("--json", context.json, "For programs");
    app.add_option(
        "--socket", context.socket,
        "The manager's control socket (or $ELISACTL_SOCKET); else the one in /run/elisa");
    elisactl::add_host(app, context);
    elisactl::add_export(app, context);
    elisactl::add_port(app, context);
    elisactl::add_mac(app, context);
    elisactl::add_stats(app, context);
    elisactl::add_capture(app, context);
    elisactl::add_events(app, context);
    elisactl::add_reload(app, context);
    elisactl::add_doctor(app, context);
    elisactl::add_texts(app, context);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        const int status = app.exit(error); // says it, or prints what --help asked for
        if (status != 0 && wants_json(argc, argv)) {
            elisactl::Context::print({{"ok", false}, {"error", error.what()}});
        }
        return status;
    }
    return context.action();
} catch (const std::exception &error) {
    std::fprintf(stderr, "elisactl: %s\n", error.what());
    if (wants_json(argc, argv)) {
        elisactl::Context::print({{"ok", false}, {"error", error.what()}});
    }
    return 1;
}
