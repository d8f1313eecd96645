// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include "manual.hpp"

#include <CLI/CLI.hpp>

namespace uplink {
namespace {

apps::Manual manual()
{
    return {
        .section = "1",
        .synopsis =
            "{\\-\\-tap NAME | \\-\\-interface NAME | \\-\\-port DEVICE} [OPTIONS] [\\-\\- EAL\\-ARGUMENTS]",
        .description =
            "In a guest, with\n.BR \\-\\-tap ,\nit gives programs that know nothing of DPDK a network interface of the kernel. With\n.B \\-\\-interface\nor\n.BR \\-\\-port ,\n"
            "in a guest of its own, it joins the switch to another network, with its VLANs. It runs until it is\n"
            "told to end (SIGINT, SIGTERM), and prints what it has carried.",
        .more = ".SH SEE ALSO\n.BR vmnet (1),\n.BR elisactl (8),\n.BR ip\\-link (8)"};
}

} // namespace

std::optional<Options> parse_options(int argc, char **argv, int &status)
{
    CLI::App app{
        "Joins a port of the ELISA switch with an interface of the kernel or any DPDK port",
        "elisa-uplink"};
    app.footer("What stands behind -- goes to DPDK's EAL as it is, such as: -- --no-huge -m 128");
    Options options;
    std::string tap;
    std::string interface;
    std::string port;
    std::uint16_t mtu = 0;
    app.add_option("--rvif", options.rvif,
                   "Arguments of net_rvif, such as export=rvs or "
                   "backend=direct,socket=PATH,label=NAME (default: those of net_rvif)");
    auto *other = app.add_option_group("other end");
    other->add_option("--tap", tap,
                      "Make this TAP interface: ordinary sockets of this machine use the switch");
    other->add_option("--interface", interface,
                      "This interface of the kernel (veth, a NIC): another network");
    other->add_option("--port", port,
                      "This DPDK device (0000:03:00.0, net_af_xdp0,iface=eth1): another network");
    other->require_option(1);
    auto *mtu_given =
        app.add_option("--mtu", mtu, "MTU of both ends (default: 1500, with --interface its own)")
            ->check(CLI::Range(68, 65517));
    app.add_option("--depth", options.depth,
                   "Buffers of the switch's port for each source; a power of two")
        ->check(CLI::Validator(
            [](const std::string &text) -> std::string {
                const unsigned long value = std::strtoul(text.c_str(), nullptr, 10);
                return value >= 64 && value <= 4096 && (value & (value - 1)) == 0
                           ? ""
                           : "want a power of two from 64 to 4096";
            },
            "POWER OF TWO in [64 - 4096]"))
        ->capture_default_str();
    app.add_option("--mbufs", options.mbufs,
                   "Buffers of 2 KiB in all for the switch's port: --depth times the "
                   "transmit queues of all other ports, or some of those go short")
        ->check(CLI::Range(512u, 1u << 20))
        ->capture_default_str();
    app.add_option("--idle", options.idle_us,
                   "Microseconds to sleep with nothing to do; 0: poll all the time")
        ->check(CLI::Range(0u, 1'000'000u))
        ->capture_default_str();
    app.add_flag("!--no-offloads", options.offloads,
                 "Have the switch compute every checksum and cut every TCP frame");
    app.add_flag("--json", options.json, "The summary at the end as JSON, for programs");
    app.add_option("--driver", options.driver, "librte_net_rvif.so")->check(CLI::ExistingFile);
    app.add_option("--name", options.name,
                   "For dpdk-telemetry.py -f NAME (default: uplink-OTHER_END)");
    app.add_option("eal", options.eal, "Arguments of EAL's");
    apps::add_manual(app, manual());
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        status = app.exit(error);
        return std::nullopt;
    }
    if (!tap.empty()) {
        options.kind = Kind::tap;
        options.other = tap;
    } else if (!interface.empty()) {
        options.kind = Kind::interface;
        options.other = interface;
    } else {
        options.kind = Kind::port;
        options.other = port;
    }
    if (mtu_given->count() != 0) {
        options.mtu = mtu;
    }
    if (options.name.empty()) {
        options.name = "uplink-" + options.other.substr(0, options.other.find(','));
    }
    return options;
}

} // namespace uplink
