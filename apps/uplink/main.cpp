// SPDX-License-Identifier: Apache-2.0
// Joins a port of the switch with an interface of the kernel or any other DPDK port.
#include "bridge.hpp"
#include "eal.hpp"
#include "follow.hpp"
#include "options.hpp"
#include "packet.hpp"
#include "port.hpp"
#include "program.hpp"
#include "summary.hpp"
#include "tap.hpp"

#include <cstdio>
#include <exception>
#include <rte_ethdev.h>

namespace {

using elisa::Result;
using namespace uplink;

constexpr std::uint16_t usual_mtu = 1500;
constexpr unsigned other_mbufs = 4096;
constexpr std::uint16_t other_depth = 1024;

// The other end, and what it can do with frames of the switch's.
struct Other {
    std::unique_ptr<End> end;
    Interface *interface = nullptr; // of the kernel's
    Abilities abilities;
    std::uint16_t mtu = usual_mtu;
};

void warn_of_kernel_port(std::uint16_t id)
{
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(id, &info) != 0) {
        return;
    }
    const std::string_view driver{info.driver_name};
    if (driver == "net_af_packet" || driver == "net_af_xdp" || driver == "net_pcap") {
        std::fprintf(
            stderr,
            "elisa-uplink: warning: %s cannot tell which checksums the kernel has left open, "
            "and cuts frames off that the kernel has joined: turn both off at whoever sends "
            "there (ethtool -K PEER tx off gro off), or use --interface instead of --port\n",
            info.driver_name);
    }
}

Result<Other> open_port(const Options &options, std::uint16_t id, rte_mempool &pool)
{
    warn_of_kernel_port(id);
    Other made;
    made.mtu = options.mtu.value_or(usual_mtu);
    auto port = Port::open(id, pool, {.depth = other_depth, .mtu = made.mtu});
    if (!port) {
        return port.error();
    }
    made.abilities = options.offloads ? abilities(id) : Abilities{};
    made.end = std::move(*port);
    return made;
}

template <class Opened>
Result<Other> as_other(Result<Opened> opened, Abilities abilities)
{
    if (!opened) {
        return opened.error();
    }
    Other made;
    made.interface = &(*opened)->interface();
    made.abilities = abilities;
    made.end = std::move(*opened);
    return made;
}

// Both ends with one MTU; a TAP interface with the port's address, which the switch knows it by.
Result<void> agree(Interface &interface, const Options &options, Other &made,
                   const rte_ether_addr *mac)
{
    const auto now = interface.settings();
    if (!now) {
        return now.error();
    }
    if (mac != nullptr && rte_is_same_ether_addr(&now->mac, mac) == 0) {
        if (auto set = interface.set_mac(*mac); !set) {
            return set;
        }
    }
    made.mtu = options.mtu.value_or(mac == nullptr ? now->mtu : usual_mtu);
    return now->mtu == made.mtu ? Result<void>{} : interface.set_mtu(made.mtu);
}

Result<Other> open_other(const Options &options, const Eal::Ports &ports, rte_mempool &pool)
{
    if (options.kind == Kind::port) {
        return open_port(options, *ports.other, pool);
    }
    const Abilities all{.checksums = options.offloads, .segmentation = options.offloads};
    const bool tap = options.kind == Kind::tap;
    auto made = tap ? as_other(Tap::open(options.other, pool, options.offloads), all)
                    : as_other(Packet::open(options.other, pool), all);
    if (!made) {
        return made;
    }
    rte_ether_addr mac{};
    rte_eth_macaddr_get(ports.rvif, &mac);
    if (auto agreed = agree(*made->interface, options, *made, tap ? &mac : nullptr); !agreed) {
        return agreed.error();
    }
    return made;
}

Result<Json> join(const Options &options)
{
    static Traffic traffic; // telemetry's thread may look at it as long as EAL is there
    auto eal = Eal::start(options);
    if (!eal) {
        return eal.error();
    }
    const auto &stop = apps::stop_requested();
    const auto rvif_pool = Eal::pool("rvif", options.mbufs);
    const auto other_pool = Eal::pool("other", other_mbufs);
    if (!rvif_pool || !other_pool) {
        return rvif_pool ? other_pool.error() : rvif_pool.error();
    }
    auto other = open_other(options, eal->ports(), **other_pool);
    if (!other) {
        return other.error();
    }
    auto rvif = Port::open(eal->ports().rvif, **rvif_pool,
                           {.depth = options.depth,
                            .mtu = other->mtu,
                            .promiscuous = options.kind != Kind::tap,
                            .leave_checksums = other->abilities.checksums,
                            .leave_segmentation = other->abilities.segmentation});
    if (!rvif) {
        return rvif.error();
    }
    publish(traffic);

    Links links{**rvif, *other->end};
    std::optional<Follower> follower;
    if (options.kind == Kind::tap) {
        follower.emplace(*other->interface, **rvif);
    }
    const Names names{(*rvif)->name(), other->end->name()};
    std::fprintf(stderr, "elisa-uplink: %s and %s are joined, MTU %u%s\n", names.rvif.c_str(),
                 names.other.c_str(), other->mtu,
                 other->abilities.segmentation ? ", checksums and TCP frames as they come"
                 : other->abilities.checksums  ? ", checksums as they come"
                                               : "");
    const auto done = run(**rvif, *other->end, traffic,
                          {.idle = std::chrono::microseconds{options.idle_us}}, stop, [&] {
                              auto seen = links.look();
                              return seen && follower ? follower->look() : seen;
                          });
    Json summary = to_json(traffic, names);
    summary["link_changes"] = links.changes();
    summary["ports"] = {{names.rvif, (*rvif)->details()}};
    if (options.kind == Kind::port) {
        summary["ports"][names.other] = other->end->details();
    }
    if (!done) {
        summary["error"] = done.error().message;
    }
    return summary;
}

} // namespace

int main(int argc, char **argv)
try {
    int status = 0;
    const auto options = parse_options(argc, argv, status);
    if (!options) {
        return status;
    }
    const auto summary = join(*options);
    if (!summary) {
        return apps::fail("elisa-uplink", summary.error());
    }
    const std::string text = options->json ? summary->dump() + "\n" : to_table(*summary);
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    if (summary->contains("error")) {
        std::fprintf(stderr, "elisa-uplink: %s\n", (*summary)["error"].get<std::string>().c_str());
        return 1;
    }
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "elisa-uplink: %s\n", error.what());
    return 1;
}
