// SPDX-License-Identifier: Apache-2.0
// The command line of vmnet --backend direct.
#include "clock.hpp"
#include "direct_server.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <getopt.h>
#include <sys/signalfd.h>

namespace vmnet {
namespace {

void usage(std::FILE *out)
{
    std::fputs("usage: vmnet --backend direct --socket PATH [--config FILE] [--control PATH] [--stats SECONDS]\n"
               "             [--json FILE]\n"
               "\n"
               "A switch for DPDK processes on this host, each with\n"
               "    --vdev net_rvif0,backend=direct,socket=PATH\n"
               "No isolation: who can open PATH can read and write every packet.\n"
               "\n"
               "  --socket PATH    where drivers connect\n"
               "  --config FILE    TOML: what each port may do; drivers say label=NAME\n"
               "  --control PATH   socket for elisactl; SOCKET.control unless told, none: no socket\n"
               "  --stats SECONDS  print the ports' counters that often\n"
               "  --json FILE      write the ports' counters there at the end\n"
               "Ends on SIGINT or SIGTERM; SIGHUP reads FILE again.\n",
               out);
}

} // namespace

int direct_main(int argc, char **argv)
{
    DirectOptions options;
    const option longs[] = {
        {"socket", required_argument, nullptr, 's'}, {"config", required_argument, nullptr, 'c'},
        {"control", required_argument, nullptr, 'o'}, {"stats", required_argument, nullptr, 'i'},
        {"json", required_argument, nullptr, 'j'},   {"backend", required_argument, nullptr, 'b'},
        {"help", no_argument, nullptr, 'h'},         {}};
    ::optind = 1;
    for (int c = 0; (c = ::getopt_long(argc, argv, "", longs, nullptr)) != -1;) {
        switch (c) {
        case 's':
            options.socket = ::optarg;
            break;
        case 'c':
            options.config_file = ::optarg;
            break;
        case 'o':
            options.control = ::optarg;
            break;
        case 'i':
            options.stats_interval = std::chrono::seconds{std::atoi(::optarg)};
            break;
        case 'j':
            options.json = ::optarg;
            break;
        case 'b':
            if (std::string_view{::optarg} != "direct") {
                std::fprintf(stderr, "vmnet: --backend %s: this program knows --backend direct\n",
                             ::optarg);
                return 2;
            }
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (options.socket.empty() || ::optind != argc) {
        usage(stderr);
        return 2;
    }

    if (!options.config_file.empty()) {
        auto config = load_config(options.config_file);
        if (!config) {
            std::fprintf(stderr, "vmnet: %s\n", config.error().message.c_str());
            return 2;
        }
        options.config = std::move(*config);
    }
    // Also where nobody's rate is limited yet: it may be, while the switch runs.
    if (options.config.limits.clock_hz == 0) {
        options.config.limits.clock_hz = measure_tsc_hz();
    }

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
