// SPDX-License-Identifier: Apache-2.0
// The network's manager: exports the switch and admits guests to its ports.
#include "clock.hpp"
#include "config.hpp"
#include "console.hpp"
#include "manual.hpp"
#include "program.hpp"
#include "service.hpp"
#ifdef VMNET_DIRECT
#include "direct_server.hpp"
#endif

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <exception>

namespace {

struct Options {
    std::string config;
    std::vector<std::string> admit;
    std::string image = "rvs";
    std::string control;
    bool exit_when_idle = false;
    bool check = false;
};

elisa::Result<vmnet::Config> configuration(const vmnet::ConfigSource &source)
{
    auto config = vmnet::load_config(source);
    if (config && config->guests.empty()) {
        return elisa::Error{elisa::make_error_code(elisa::Errc::invalid),
                            "nobody is admitted: give --config FILE, or --admit LABEL"};
    }
    return config;
}

// Behind the switch, where its calls find it at the same address.
std::span<std::byte> capture_memory(const elisa::Export &served, const rvs::Switch &rvs_switch)
{
    constexpr std::size_t page = 4096;
    const auto heap = served.heap();
    const std::size_t used = (rvs_switch.size() + page - 1) & ~(page - 1);
    if (!served.same_addresses() || used >= heap.size()) {
        return {};
    }
    return heap.subspan(used);
}

int run(const Options &options)
{
    auto &again = apps::reload_requested();
    const auto &stop = apps::stop_requested();
    const vmnet::ConfigSource source{options.config, options.admit};
    auto config = configuration(source);
    if (!config) {
        return apps::fail("vmnet", config.error());
    }
    // Also where nobody's rate is limited yet: it may be, while the switch runs.
    config->limits.clock_hz = config->tsc_hz != 0 ? config->tsc_hz : vmnet::measure_tsc_hz();
    config->limits.call_ms = 2 * ELISA_CROSSING_MS; // elisa.ko ends a call in half of that
    if (options.check) {
        std::printf("vmnet: the configuration is good; %zu guest(s) are admitted to '%s'\n",
                    config->guests.size(), config->export_name.c_str());
        return 0;
    }
    const auto image = elisa::Image::load(apps::find_image(options.image));
    if (!image) {
        return apps::fail("vmnet", image.error());
    }
    constexpr std::uint32_t usual_capture_mib = 2;
    const std::size_t footprint =
        rvs::Switch::footprint(config->limits) +
        (std::size_t{config->capture_mib.value_or(usual_capture_mib)} << 20);
    auto served = elisa::Export::open(config->export_name, *image, footprint);
    if (!served) {
        return apps::fail("vmnet", served.error());
    }
    const auto heap = served->heap();
    rvs::Switch *const rvs_switch =
        served->taken_over() ? rvs::Switch::open(heap.data(), heap.size())
                             : rvs::Switch::create(heap.data(), heap.size(), config->limits);
    if (rvs_switch == nullptr) {
        return apps::fail(
            "vmnet",
            elisa::make_error(elisa::Errc::invalid, "the switch cannot be laid out in the export"));
    }
    if (!served->taken_over()) {
        if (const auto published = served->publish(); !published) {
            return apps::fail("vmnet", published.error());
        }
    }
    vmnet::Journal journal;
    vmnet::configure(journal, *config);
    vmnet::Ports ports{*rvs_switch, *config, journal};
    vmnet::Console console{journal};
    const std::string control =
        options.control.empty() ? "/run/elisa/" + config->export_name + ".sock" : options.control;
    const auto opened =
        console.open(control, {"elisa", config->export_name, source}, *rvs_switch, ports,
                     config->capture_mib.value_or(usual_capture_mib) == 0
                         ? std::span<std::byte>{}
                         : capture_memory(*served, *rvs_switch));
    if (!opened) {
        return apps::fail("vmnet", opened.error());
    }
    journal.tell(vmnet::Level::info, "ready",
                 "the switch is ready as export '" + config->export_name + "', " +
                     std::to_string(config->guests.size()) + " guest(s) are admitted");

    vmnet::PortService service{*rvs_switch, ports, console, again};
    const auto done =
        apps::serve(*served, service, stop, {.exit_when_idle = options.exit_when_idle});
    const auto records = ports.records();
    std::fputs(vmnet::to_table(records).c_str(), stdout);
    apps::print_result(
        {{"program", "vmnet"}, {"backend", "elisa"}, {"ports", vmnet::to_json(records)}});
    return done ? 0 : apps::fail("vmnet", done.error());
}

bool wants_direct(int argc, char **argv)
{
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--backend=direct") == 0 ||
            (std::strcmp(argv[i], "--backend") == 0 && i + 1 < argc &&
             std::strcmp(argv[i + 1], "direct") == 0)) {
            return true;
        }
    }
    return false;
}

apps::Manual manual()
{
    return {
        .section = "1",
        .synopsis = "[OPTIONS]",
        .description =
            "Exports the switch: with the elisa backend it runs in the manager's VM, and guests' drivers (net_rvif) enter the\n"
            "switch's own EPT context to send; no frame passes through this program. It admits ports, learns who has gone,\n"
            "keeps the counters, and answers\n.BR elisactl (8).\nWith\n.B \\-\\-backend direct\nit serves processes of this machine "
            "in shared memory, without isolation, and has other\noptions, which\n.B vmnet \\-\\-backend direct \\-\\-help\nlists.",
        .more =
            ".SH SIGNALS\n.TP\nSIGHUP\nread the configuration again; a wrong one changes nothing\n"
            ".TP\nSIGINT, SIGTERM\nend, and the switch with it: guests' calls become errors. A vmnet that is killed leaves\n"
            "its switch working, and the next one takes it over\n"
            ".SH FILES\n.TP\n.I /etc/elisa/vmnet.toml\nthe configuration that the service elisa\\-vmnet uses; all settings are explained in it\n"
            ".TP\n.I /run/elisa/EXPORT.sock\nthe control socket\n.SH SEE ALSO\n.BR elisactl (8),\n.BR elisa\\-uplink (1)"};
}

} // namespace

int main(int argc, char **argv)
try {
    if (wants_direct(argc, argv)) {
#ifdef VMNET_DIRECT
        return vmnet::direct_main(argc, argv);
#else
        std::fputs("vmnet: built without the direct backend (DPDK was missing)\n", stderr);
        return 2;
#endif
    }

    CLI::App app{"A virtual switch for guest VMs, in a sub EPT context", "vmnet"};
    Options options;
    std::string backend = "elisa";
    app.add_option("--backend", backend,
                   "elisa, or direct (processes on this host; see "
                   "--backend direct --help)")
        ->check(CLI::IsMember({"elisa", "direct"}));
    app.add_option("--config", options.config, "TOML file: who is admitted");
    app.add_option("--admit", options.admit,
                   "Label to admit beside those of the file; may be repeated");
    app.add_option("--image", options.image, "The switch: name or path")->capture_default_str();
    app.add_option("--control", options.control,
                   "Socket for elisactl; /run/elisa/EXPORT.sock unless told, none: no socket");
    app.add_flag("--exit-when-idle", options.exit_when_idle, "End when the last guest has gone");
    app.add_flag("--check", options.check, "Check the configuration and end");
    apps::add_manual(app, manual());
    CLI11_PARSE(app, argc, argv);
    return run(options);
} catch (const std::exception &error) {
    std::fprintf(stderr, "vmnet: %s\n", error.what());
    return 1;
}
