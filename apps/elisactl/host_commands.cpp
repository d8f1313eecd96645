// SPDX-License-Identifier: Apache-2.0
// host, export: what /dev/elisa knows.
#include "context.hpp"
#include "doctor.hpp"
#include "host.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unistd.h>

namespace elisactl {
namespace {

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
    std::string name;
    int fd = -1;
    elisa_role role = ELISA_ROLE_GUEST;
    std::string label;
};

int add(const Context &context, const AddOptions &options)
{
    auto host = Host::open();
    if (!host) {
        return context.fail(host.error());
    }
    elisa::UniqueFd copy;
    int fd = options.fd;
    if (fd < 0) {
        int pid = options.pid;
        if (!options.name.empty()) {
            const auto found = process_of_vm(options.name);
            if (!found) {
                return context.fail(found.error());
            }
            pid = *found;
        }
        auto vm = vm_of_process(pid);
        if (!vm) {
            return context.fail(vm.error());
        }
        copy = std::move(*vm);
        fd = copy.get();
    }
    const auto id = host->add(fd, options.role, options.label);
    if (!id) {
        return context.fail(id.error());
    }
    if (context.json) {
        Context::print({{"ok", true}, {"id", id_text(*id)}});
    } else {
        fmt::print("{}\n", id_text(*id));
    }
    return 0;
}

std::optional<std::uint64_t> parse_id(const std::string &text)
{
    std::uint64_t id = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id, 16);
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
        return std::nullopt;
    }
    return id;
}

// Opens the module, does something to what has this id.
template <class Action>
int with_id(const Context &context, const std::string &text, Action &&action)
{
    const auto id = parse_id(text);
    if (!id) {
        context.fail("'" + text + "' is no id: 16 hexadecimal digits, see the lists");
        return 2;
    }
    auto host = Host::open();
    if (!host) {
        return context.fail(host.error());
    }
    if (const auto done = action(*host, *id); !done) {
        return context.fail(done.error());
    }
    return context.done();
}

Json by_error(const std::uint64_t (&counts)[ELISA_REFUSALS])
{
    auto out = Json::object();
    for (std::size_t i = 1; i < std::size(counts); ++i) {
        if (counts[i] != 0) {
            out[std::string{elisa::abi_error_name(-static_cast<std::int64_t>(i))}] = counts[i];
        }
    }
    return out;
}

Json to_json(const elisa_vm_quota &quota)
{
    return {{"pinned_pages", quota.pinned_pages}, {"table_pages", quota.table_pages},
            {"exports", quota.exports},           {"attachments", quota.attachments},
            {"calls_per_s", quota.calls_per_s},   {"aborts_per_s", quota.aborts_per_s}};
}

const char *state_name(std::uint32_t state)
{
    switch (state) {
    case ELISA_EXPORT_NEW:
        return "new";
    case ELISA_EXPORT_LIVE:
        return "live";
    case ELISA_EXPORT_ORPHAN:
        return "orphan";
    case ELISA_EXPORT_DEAD:
        return "dead";
    default:
        return "?";
    }
}

int list_exports(const Context &context)
{
    const auto host = Host::open();
    if (!host) {
        return context.fail(host.error());
    }
    const auto exports = host->exports();
    if (!exports) {
        return context.fail(exports.error());
    }
    if (context.json) {
        auto out = Json::array();
        for (const elisa_export_info &one : *exports) {
            out.push_back({{"id", id_text(one.id)},
                           {"name", one.name},
                           {"manager", one.label},
                           {"state", state_name(one.state)},
                           {"size", one.size},
                           {"attachments", one.attachments},
                           {"contexts", one.contexts},
                           {"regions", one.regions},
                           {"events", one.events}});
        }
        fmt::print("{}\n", out.dump());
        return 0;
    }
    fmt::print("{:16}  {:20} {:20} {:7} {:>11} {:>8} {:>7} {:>10}\n", "ID", "NAME", "MANAGER",
               "STATE", "ATTACHMENTS", "CONTEXTS", "REGIONS", "UNANSWERED");
    for (const elisa_export_info &one : *exports) {
        fmt::print("{:16}  {:20} {:20} {:7} {:>11} {:>8} {:>7} {:>10}\n", id_text(one.id), one.name,
                   one.label, state_name(one.state), one.attachments, one.contexts, one.regions,
                   one.events);
    }
    return 0;
}

int list(const Context &context)
{
    const auto host = Host::open();
    if (!host) {
        return context.fail(host.error());
    }
    const auto vms = host->vms();
    if (!vms) {
        return context.fail(vms.error());
    }
    if (context.json) {
        auto out = Json::array();
        for (const elisa_vm_info &vm : *vms) {
            out.push_back({{"id", id_text(vm.id)},
                           {"label", vm.label},
                           {"role", role_name(vm.role)},
                           {"pid", vm.pid},
                           {"attachments", vm.attachments},
                           {"exports", vm.exports},
                           {"pinned_pages", vm.pinned_pages},
                           {"table_pages", vm.table_pages},
                           {"quota", to_json(vm.quota)},
                           {"refusals", by_error(vm.refusals)},
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

int stats(const Context &context)
{
    const auto host = Host::open();
    if (!host) {
        return context.fail(host.error());
    }
    const auto stats = host->stats();
    if (!stats) {
        return context.fail(stats.error());
    }
    Json out{{"abi_version", stats->abi_version},
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
             {"return_traps", stats->return_traps},
             {"throttled", stats->throttled}};
    for (std::size_t i = 0; i < std::size(stats->abort_reasons); ++i) {
        const auto name = elisa::abi_error_name(-(ELISA_E_FAULT + static_cast<int>(i)));
        if (!name.empty()) {
            out["aborts_by_reason"][std::string{name.substr(std::size("ELISA_E_") - 1)}] =
                stats->abort_reasons[i];
        }
    }
    if (context.json) {
        fmt::print("{}\n", out.dump());
        return 0;
    }
    for (const auto &[key, value] : out.items()) {
        fmt::print("{:18} {}\n", key, value.dump());
    }
    return 0;
}

int check(const Context &context, const std::string &root)
{
    const Machine machine{root};
    Findings findings;
    look_at_host_hardware(machine, findings);
    look_at_host_software(machine, findings);
    return report(context, "host", findings);
}

} // namespace

void add_host(CLI::App &app, Context &context)
{
    auto *const host = app.add_subcommand("host", "VMs, their roles and what the module holds");
    host->require_subcommand(1);

    const auto root = std::make_shared<std::string>("/");
    auto *const check_command = host->add_subcommand(
        "check", "Can this machine be a host: processor, firmware, kernel, modules");
    check_command->add_option("--root", *root, "Look at a copy of a machine's files")
        ->capture_default_str();
    check_command->callback(
        [&context, root] { context.action = [&context, root] { return check(context, *root); }; });

    const auto adding = std::make_shared<AddOptions>();
    auto *const add_command =
        host->add_subcommand("add", "Give a running VM a role; prints its id");
    auto *const where = add_command->add_option_group("vm", "The VM");
    where->add_option("--pid", adding->pid, "Process id of its QEMU")->check(CLI::PositiveNumber);
    where->add_option("--name", adding->name, "Its name in libvirt, or of QEMU's -name");
    where->add_option("--fd", adding->fd, "Inherited descriptor of an anon_inode:kvm-vm")
        ->check(CLI::NonNegativeNumber);
    where->require_option(1);
    const std::map<std::string, elisa_role> roles{{"guest", ELISA_ROLE_GUEST},
                                                  {"manager", ELISA_ROLE_MANAGER}};
    add_command->add_option("--role", adding->role, "guest (attaches) or manager (exports)")
        ->required()
        ->transform(CLI::CheckedTransformer(roles));
    add_command->add_option("--label", adding->label, "What managers know the VM by")->required();
    add_command->callback([&context, adding] {
        context.action = [&context, adding] { return add(context, *adding); };
    });

    const auto id = std::make_shared<std::string>();
    auto *const remove_command =
        host->add_subcommand("remove", "Revoke everything a VM has, and its role");
    remove_command->add_option("ID", *id, "As printed by add and list")->required();
    remove_command->callback([&context, id] {
        context.action = [&context, id] {
            return with_id(context, *id, [](Host &to, std::uint64_t vm) { return to.remove(vm); });
        };
    });

    const auto quota = std::make_shared<elisa_vm_quota>();
    std::memset(quota.get(), 0xff, sizeof(*quota)); // all ones: stays as it is
    auto *const quota_command =
        host->add_subcommand("quota", "What a VM may use; the rest stays as it is");
    quota_command->add_option("ID", *id, "As printed by add and list")->required();
    quota_command->add_option("--pinned-pages", quota->pinned_pages, "Of its memory, 4 KB each");
    quota_command->add_option("--table-pages", quota->table_pages,
                              "Of the host's, for its contexts");
    quota_command->add_option("--exports", quota->exports);
    quota_command->add_option("--attachments", quota->attachments, "At most 4");
    quota_command->add_option("--calls", quota->calls_per_s,
                              "A second; one that changes something counts as 1000. More wait");
    quota_command->add_option("--aborts", quota->aborts_per_s,
                              "Aborted crossings of a vCPU, a second. More wait");
    quota_command->callback([&context, id, quota] {
        context.action = [&context, id, quota] {
            return with_id(context, *id, [&](Host &to, std::uint64_t vm) {
                quota->id = vm;
                return to.set_quota(*quota);
            });
        };
    });

    host->add_subcommand("list", "Registered VMs")->callback([&context] {
        context.action = [&context] { return list(context); };
    });
    host->add_subcommand("stats",
                         "What the module holds and has counted (rates: elisactl stats --watch)")
        ->callback([&context] { context.action = [&context] { return stats(context); }; });
}

void add_export(CLI::App &app, Context &context)
{
    auto *const exports = app.add_subcommand("export", "What manager VMs have exported");
    exports->require_subcommand(1);
    const auto id = std::make_shared<std::string>();
    exports->add_subcommand("list", "All exports")->callback([&context] {
        context.action = [&context] { return list_exports(context); };
    });
    auto *const revoke =
        exports->add_subcommand("revoke", "End an export: whoever is attached gets an error");
    revoke->add_option("ID", *id, "As printed by list")->required();
    revoke->callback([&context, id] {
        context.action = [&context, id] {
            return with_id(context, *id,
                           [](Host &to, std::uint64_t one) { return to.revoke(one); });
        };
    });
}

} // namespace elisactl
