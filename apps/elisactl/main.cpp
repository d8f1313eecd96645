// SPDX-License-Identifier: Apache-2.0
// The host administrator's tool.
#include "host.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <unistd.h>

namespace {

using elisactl::Host;

int fail(const elisa::Error &error)
{
    fmt::print(stderr, "elisactl: {}\n", error.message);
    return 1;
}

const char *role_name(std::uint32_t role)
{
    switch (role) {
    case ELISA_ROLE_GUEST:
        return "guest";
    case ELISA_ROLE_MANAGER:
        return "manager";
    default:
        return "none";
    }
}

std::string id_text(std::uint64_t id)
{
    return fmt::format("{:016x}", id);
}

struct AddOptions {
    int pid = 0;
    int fd = -1;
    elisa_role role = ELISA_ROLE_GUEST;
    std::string label;
};

int add(const AddOptions &options)
{
    auto host = Host::open();
    if (!host) {
        return fail(host.error());
    }
    elisa::UniqueFd copy;
    int fd = options.fd;
    if (fd < 0) {
        auto vm = elisactl::vm_of_process(options.pid);
        if (!vm) {
            return fail(vm.error());
        }
        copy = std::move(*vm);
        fd = copy.get();
    }
    const auto id = host->add(fd, options.role, options.label);
    if (!id) {
        return fail(id.error());
    }
    fmt::print("{}\n", id_text(*id));
    return 0;
}

int remove(const std::string &text)
{
    std::uint64_t id = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id, 16);
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
        fmt::print(stderr,
                   "elisactl: '{}' is no id: 16 hexadecimal digits, see elisactl host list\n",
                   text);
        return 2;
    }
    auto host = Host::open();
    if (!host) {
        return fail(host.error());
    }
    if (const auto removed = host->remove(id); !removed) {
        return fail(removed.error());
    }
    return 0;
}

int list(bool json)
{
    const auto host = Host::open();
    if (!host) {
        return fail(host.error());
    }
    const auto vms = host->vms();
    if (!vms) {
        return fail(vms.error());
    }
    if (json) {
        auto out = nlohmann::ordered_json::array();
        for (const elisa_vm_info &vm : *vms) {
            out.push_back({{"id", id_text(vm.id)},
                           {"label", vm.label},
                           {"role", role_name(vm.role)},
                           {"pid", vm.pid},
                           {"attachments", vm.attachments},
                           {"pinned_pages", vm.pinned_pages},
                           {"crossings", vm.crossings},
                           {"aborts", vm.aborts}});
        }
        fmt::print("{}\n", out.dump());
        return 0;
    }
    fmt::print("{:16}  {:20} {:8} {:>8} {:>11} {:>12} {:>14} {:>8}\n", "ID", "LABEL", "ROLE", "PID",
               "ATTACHMENTS", "PINNED PAGES", "CROSSINGS", "ABORTS");
    for (const elisa_vm_info &vm : *vms) {
        fmt::print("{:16}  {:20} {:8} {:>8} {:>11} {:>12} {:>14} {:>8}\n", id_text(vm.id), vm.label,
                   role_name(vm.role), vm.pid, vm.attachments, vm.pinned_pages, vm.crossings,
                   vm.aborts);
    }
    return 0;
}

int stats(bool json)
{
    const auto host = Host::open();
    if (!host) {
        return fail(host.error());
    }
    const auto stats = host->stats();
    if (!stats) {
        return fail(stats.error());
    }
    const nlohmann::ordered_json out{{"abi_version", stats->abi_version},
                                     {"vms", stats->vms},
                                     {"exports", stats->exports},
                                     {"attachments", stats->attachments},
                                     {"contexts", stats->contexts},
                                     {"regions", stats->regions},
                                     {"pinned_pages", stats->pinned_pages},
                                     {"table_pages", stats->table_pages},
                                     {"crossings", stats->crossings},
                                     {"aborts", stats->aborts},
                                     {"off_default_exits", stats->off_default_exits},
                                     {"return_traps", stats->return_traps}};
    if (json) {
        fmt::print("{}\n", out.dump());
        return 0;
    }
    for (const auto &[key, value] : out.items()) {
        fmt::print("{:18} {}\n", key, value.dump());
    }
    return 0;
}

} // namespace

int main(int argc, char **argv)
try {
    CLI::App app{"Administers ELISA on this host"};
    app.require_subcommand(1);
    auto *host = app.add_subcommand("host", "VMs, their roles and what the module holds");
    host->require_subcommand(1);

    AddOptions adding;
    auto *add_command = host->add_subcommand("add", "Give a running VM a role; prints its id");
    auto *where = add_command->add_option_group("vm", "The VM");
    where->add_option("--pid", adding.pid, "Process id of its QEMU")->check(CLI::PositiveNumber);
    where->add_option("--fd", adding.fd, "Inherited descriptor of an anon_inode:kvm-vm")
        ->check(CLI::NonNegativeNumber);
    where->require_option(1);
    const std::map<std::string, elisa_role> roles{{"guest", ELISA_ROLE_GUEST},
                                                  {"manager", ELISA_ROLE_MANAGER}};
    add_command->add_option("--role", adding.role, "guest (attaches) or manager (exports)")
        ->required()
        ->transform(CLI::CheckedTransformer(roles));
    add_command->add_option("--label", adding.label, "What managers know the VM by")->required();

    std::string id;
    auto *remove_command =
        host->add_subcommand("remove", "Revoke everything a VM has, and its role");
    remove_command->add_option("ID", id, "As printed by add and list")->required();

    bool json = false;
    auto *list_command = host->add_subcommand("list", "Registered VMs");
    list_command->add_flag("--json", json, "For programs");
    auto *stats_command = host->add_subcommand("stats", "What the module holds and has counted");
    stats_command->add_flag("--json", json, "For programs");

    CLI11_PARSE(app, argc, argv);
    if (*add_command) {
        return add(adding);
    }
    if (*remove_command) {
        return remove(id);
    }
    if (*list_command) {
        return list(json);
    }
    return stats(json);
} catch (const std::exception &error) {
    std::fprintf(stderr, "elisactl: %s\n", error.what());
    return 1;
}
