// SPDX-License-Identifier: Apache-2.0
// The command line of vmnet --backend direct.
#include "clock.hpp"
#include "direct_server.hpp"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <sys/signalfd.h>

namespace vmnet {

int direct_main(int argc, char **argv)
{
    CLI::App app{"A switch for DPDK processes on this host, each with\n"
                 "    --vdev net_rvif0,backend=direct,socket=PATH\n"
                 "No isolation: who can open PATH can read and write every packet.\n"
                 "Ends on SIGINT or SIGTERM; SIGHUP reads the configuration again.",
                 "vmnet"};
    DirectOptions options;
    std::string backend;
    app.add_option("--backend", backend, "This one")->check(CLI::IsMember({"direct"}));
    app.add_option("--socket", options.socket, "Where drivers connect")->required();
    app.add_option("--config", options.config_file,
                   "TOML file: what each port may do; drivers say label=NAME");
    app.add_option("--control", options.control,
                   "Socket for elisactl; SOCKET.control unless told, none: no socket");
    app.add_flag("--huge", options.huge,
                 "The switch's memory in 2 MB pages, as the elisa backend has it");
    app.add_option("--stats", options.stats_interval,
                   "Print the ports' counters every so many seconds")
        ->check(CLI::Range(1, 86400));
    app.add_option("--json", options.json, "Write the ports' counters there at the end");
    CLI11_PARSE(app, argc, argv);

    if (!options.config_file.empty()) {
        auto config = load_config(options.config_file);
        if (!config) {
            std::fprintf(stderr, "vmnet: %s\n", config.error().message.c_str());
            return 1;
        }
        options.config = std::move(*config);
    }
    // Also where nobody's rate is limited yet: it may be, while the switch runs.
    options.config.limits.clock_hz =
        options.config.tsc_hz != 0 ? options.config.tsc_hz : measure_tsc_hz();

    sigset_t heard;
    ::sigemptyset(&heard);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        ::sigaddset(&heard, signal);
    }
    ::sigprocmask(SIG_BLOCK, &heard, nullptr);
    const rvif::direct::Fd signals{::signalfd(-1, &heard, SFD_CLOEXEC)};

    std::string why;
    const std::unique_ptr<DirectServer> server = DirectServer::create(options, why);
    if (server == nullptr) {
        std::fprintf(stderr, "vmnet: %s\n", why.c_str());
        return 1;
    }
    server->run(signals.get());
    if (!options.json.empty()) {
        std::FILE *file = std::fopen(options.json.c_str(), "we");
        if (file == nullptr || std::fprintf(file, "%s\n", server->json().c_str()) < 0 ||
            std::fclose(file) != 0) {
            std::fprintf(stderr, "vmnet: cannot write %s\n", options.json.c_str());
            return 1;
        }
    }
    return 0;
}

} // namespace vmnet
