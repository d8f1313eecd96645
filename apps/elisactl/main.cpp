// SPDX-License-Identifier: Apache-2.0
// The operator's tool: on the host what /dev/elisa knows, where vmnet runs what the switch does.
#include "context.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

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
    CLI11_PARSE(app, argc, argv);
    return context.action();
} catch (const std::exception &error) {
    std::fprintf(stderr, "elisactl: %s\n", error.what());
    return 1;
}
