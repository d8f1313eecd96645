// SPDX-License-Identifier: Apache-2.0
#include "host_counters.hpp"

#include "counters.hpp"
#include "host.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>

namespace elisactl {
namespace {

namespace fs = std::filesystem;

constexpr const char *module_counters[] = {"crossings", "aborts", "off_default_exits", "throttled"};
constexpr const char *kvm_folder = "/sys/kernel/debug/kvm";

// All VM exits of the process's VM so far. KVM has a folder PROCESS-DESCRIPTOR for each VM, and
// answers its own calls for counters to the VM's process alone.
Json exits_of(std::int32_t pid)
{
    const std::string prefix = std::to_string(pid) + "-";
    Json sum;
    std::error_code ignored;
    for (const auto &entry : fs::directory_iterator{kvm_folder, ignored}) {
        if (!entry.path().filename().string().starts_with(prefix)) {
            continue;
        }
        std::uint64_t exits = 0;
        if (std::ifstream file{entry.path() / "exits"}; file >> exits) {
            sum = (sum.is_null() ? 0 : sum.get<std::uint64_t>()) + exits;
        }
    }
    return sum;
}

std::string exits_text(const Json &exits)
{
    return exits.is_null() ? "-" : short_number(exits.get<double>());
}

void print_hint(const Json &vms)
{
    for (const Json &vm : vms) {
        for (const char *const key : {"exits", "exits_per_s"}) {
            if (vm.contains(key) && vm[key].is_null()) {
                fmt::print(
                    "exits: {} has none for some VM (mount -t debugfs none /sys/kernel/debug)\n",
                    kvm_folder);
                return;
            }
        }
    }
}

} // namespace

Json host_counters()
{
    const auto host = Host::open();
    if (!host) {
        return nullptr;
    }
    const auto stats = host->stats();
    const auto vms = host->vms();
    if (!stats || !vms) {
        return nullptr;
    }
    Json of_vms = Json::array();
    for (const elisa_vm_info &vm : *vms) {
        of_vms.push_back({{"id", fmt::format("{:016x}", vm.id)},
                          {"label", vm.label},
                          {"pid", vm.pid},
                          {"crossings", vm.crossings},
                          {"aborts", vm.aborts},
                          {"exits", exits_of(vm.pid)}});
    }
    return {{"crossings", stats->crossings},
            {"aborts", stats->aborts},
            {"off_default_exits", stats->off_default_exits},
            {"throttled", stats->throttled},
            {"vms", std::move(of_vms)}};
}

Json host_rates(const Json &now, const Json &before, double seconds)
{
    Json out = Json::object();
    for (const char *const key : module_counters) {
        out[std::string{key} + "_per_s"] = more(now, before, key) / seconds;
    }
    std::map<std::string, Json> old;
    for (const Json &vm : before["vms"]) {
        old[vm["id"].get<std::string>()] = vm;
    }
    Json vms = Json::array();
    for (const Json &vm : now["vms"]) {
        const auto last = old.find(vm["id"].get<std::string>());
        if (last == old.end()) {
            continue; // its exits are from before it had a role
        }
        const double crossings = more(vm, last->second, "crossings");
        Json rate{{"id", vm["id"]}, {"label", vm["label"]}, {"pid", vm["pid"]}};
        rate["crossings_per_s"] = crossings / seconds;
        rate["aborts_per_s"] = more(vm, last->second, "aborts") / seconds;
        const bool known = !vm["exits"].is_null() && !last->second["exits"].is_null();
        const double exits = known ? more(vm, last->second, "exits") : 0;
        rate["exits_per_s"] = known ? Json(exits / seconds) : Json(nullptr);
        rate["exits_per_crossing"] = known ? ratio(exits, crossings) : Json(nullptr);
        vms.push_back(std::move(rate));
    }
    out["vms"] = std::move(vms);
    return out;
}

void print_host_totals(const Json &host)
{
    fmt::print("host: {} crossings, {} aborted, {} exits off the default context\n",
               host["crossings"].dump(), host["aborts"].dump(), host["off_default_exits"].dump());
    fmt::print("{:20} {:>8} {:>10} {:>8} {:>10}\n", "VM", "PID", "CROSSINGS", "ABORTS", "EXITS");
    for (const Json &vm : host["vms"]) {
        fmt::print("{:20} {:>8} {:>10} {:>8} {:>10}\n", vm["label"].get<std::string>(),
                   vm["pid"].get<int>(), short_number(vm["crossings"].get<double>()),
                   short_number(vm["aborts"].get<double>()), exits_text(vm["exits"]));
    }
    print_hint(host["vms"]);
}

void print_host_rates(const Json &host)
{
    fmt::print("host: {} crossings/s, {} aborts/s, {} exits/s off the default context\n",
               short_number(host["crossings_per_s"].get<double>()),
               short_number(host["aborts_per_s"].get<double>()),
               short_number(host["off_default_exits_per_s"].get<double>()));
    fmt::print("{:20} {:>8} {:>10} {:>8} {:>10} {:>8}\n", "VM", "PID", "CROSS./s", "ABORTS/s",
               "EXITS/s", "EX/CR");
    for (const Json &vm : host["vms"]) {
        fmt::print("{:20} {:>8} {:>10} {:>8} {:>10} {:>8}\n", vm["label"].get<std::string>(),
                   vm["pid"].get<int>(), short_number(vm["crossings_per_s"].get<double>()),
                   short_number(vm["aborts_per_s"].get<double>()), exits_text(vm["exits_per_s"]),
                   ratio_text(vm["exits_per_crossing"]));
    }
    print_hint(host["vms"]);
}

} // namespace elisactl
