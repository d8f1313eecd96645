// SPDX-License-Identifier: Apache-2.0
// The round trip and nothing else: what a crossing costs, a counter that guests share, and an image
// that misbehaves on purpose.
#include "client.hpp"
#include "manager.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

int main(int argc, char **argv)
try {
    CLI::App app{"Round trips into a sub context"};
    app.require_subcommand(1);

    nop::ManagerOptions managing;
    auto *manager = app.add_subcommand("manager", "Export the nop image (in the manager's VM)");
    manager->add_option("--image", managing.image, "nop, faults, or a path")->capture_default_str();
    manager->add_option("--export", managing.export_name, "Name of the export")
        ->capture_default_str();
    manager->add_option("--admit", managing.admit,
                        "Label to admit; may be repeated (default: all)");
    manager->add_flag("--exit-when-idle", managing.exit_when_idle,
                      "End when the last client has gone");

    nop::ClientOptions calling;
    auto *client = app.add_subcommand("client", "Attach and call (in a guest VM)");
    client->add_option("--export", calling.export_name, "Name of the export")
        ->capture_default_str();
    client->add_option("--instance", calling.instance, "Tells attachments of one VM apart");
    client->add_option("--timeout", calling.timeout, "Seconds to wait for the export")
        ->capture_default_str();
    client->add_option("--bench", calling.bench, "Measure this many round trips");
    client->add_option(
        "--at-most", calling.at_most,
        "Fail if one of them takes more ticks of the TSC (in the lab: instructions)");
    client->add_option("--add", calling.add, "Add 1 to the shared counter so many times");
    client->add_option("--total", calling.total, "Then wait until the counter is this, exactly");
    client->add_option("--threads", calling.threads, "Threads that add")->check(CLI::Range(1, 64));
    client->add_flag("--region", calling.region,
                     "Show the image memory and have it read and written");
    client->add_flag("--faults", calling.faults, "Provoke every fault (manager: --image faults)");
    client->add_option("--hold", calling.hold, "Seconds to stay attached at the end");

    CLI11_PARSE(app, argc, argv);
    return *manager ? nop::manage(managing) : nop::attach_and_run(calling);
} catch (const std::exception &error) {
    std::fprintf(stderr, "nop: %s\n", error.what());
    return 1;
}
