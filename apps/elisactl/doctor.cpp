// SPDX-License-Identifier: Apache-2.0
#include "doctor.hpp"

#include "manager.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <memory>
#include <sstream>
#include <sys/utsname.h>

namespace elisactl {
namespace {

const char *name(Status status)
{
    switch (status) {
    case Status::ok:
        return "ok";
    case Status::note:
        return "note";
    case Status::problem:
        break;
    }
    return "problem";
}

struct Options {
    std::string where; // empty: what this machine seems to be
    std::string root = "/";
    std::string config;
    std::string driver;
};

std::string kind_of(const Machine &machine)
{
    if (machine.exists("/dev/elisa") || machine.has_module("kvm_intel") ||
        machine.has_module("elisa")) {
        return "host";
    }
    return machine.cpu_flags().contains("hypervisor") ? "vm" : "host";
}

int doctor(const Context &context, const Options &options)
{
    const Machine machine{options.root};
    const std::string where = options.where.empty() ? kind_of(machine) : options.where;
    Findings findings;
    if (where == "host") {
        look_at_host(machine, findings);
        if (machine.is_this_one() && machine.exists("/dev/elisa")) {
            look_at_module(findings);
        }
    } else if (where == "vm") {
        look_at_vm(machine, options.driver, findings);
    }
    // In a guest's VM there is no manager, and on the host there may be none.
    if (where == "switch" || !context.socket.empty() || !options.config.empty() ||
        (machine.is_this_one() && machine.exists(usual_socket()))) {
        look_at_switch(context, options.config, findings);
    }
    return report(context, where, findings);
}

} // namespace

int report(const Context &context, std::string_view where, const Findings &findings)
{
    const auto problems = std::ranges::count(findings, Status::problem, &Finding::status);
    if (context.json) {
        Json all = Json::array();
        for (const Finding &finding : findings) {
            all.push_back({{"check", finding.check},
                           {"status", name(finding.status)},
                           {"text", finding.text},
                           {"fix", finding.fix}});
        }
        Context::print({{"where", where}, {"problems", problems}, {"findings", std::move(all)}});
    } else {
        for (const Finding &finding : findings) {
            const char *const sign = finding.status == Status::ok     ? "ok  "
                                     : finding.status == Status::note ? "note"
                                                                      : "NO  ";
            fmt::print("[{}] {}: {}\n", sign, finding.check, finding.text);
            if (!finding.fix.empty()) {
                fmt::print("       fix: {}\n", finding.fix);
            }
        }
        fmt::print("{}\n", problems == 0 ? "No problem found."
                                         : fmt::format("{} problem(s) found.", problems));
    }
    return problems == 0 ? 0 : 1;
}

std::filesystem::path Machine::path(const std::string &file) const
{
    return root_ / std::filesystem::path{file}.relative_path();
}

std::string Machine::text(const std::string &file) const
{
    std::ifstream in{path(file)};
    std::ostringstream out;
    out << in.rdbuf();
    std::string all = out.str();
    while (!all.empty() && all.back() == '\n') {
        all.pop_back();
    }
    return all;
}

bool Machine::exists(const std::string &file) const
{
    std::error_code ignored;
    return std::filesystem::exists(path(file), ignored);
}

std::string Machine::release() const
{
    std::string found = text("/proc/sys/kernel/osrelease");
    if (utsname uts{}; found.empty() && ::uname(&uts) == 0) {
        found = uts.release;
    }
    return found;
}

std::string Machine::cpu_field(std::string_view name) const
{
    std::istringstream lines{text("/proc/cpuinfo")};
    for (std::string line; std::getline(lines, line) && !line.empty();) {
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos ||
            line.substr(0, line.find_last_not_of("\t ", colon - 1) + 1) != name) {
            continue;
        }
        const std::size_t begin = line.find_first_not_of(' ', colon + 1);
        return begin == std::string::npos ? "" : line.substr(begin);
    }
    return "";
}

namespace {

std::set<std::string> words_of(const std::string &text)
{
    std::istringstream words{text};
    return {std::istream_iterator<std::string>{words}, {}};
}

} // namespace

std::set<std::string> Machine::cpu_flags() const
{
    return words_of(cpu_field("flags"));
}

std::set<std::string> Machine::vmx_flags() const
{
    return words_of(cpu_field("vmx flags"));
}

std::string Machine::lockdown() const
{
    const std::string all = text("/sys/kernel/security/lockdown");
    const std::size_t begin = all.find('[');
    const std::size_t end = all.find(']');
    return begin < end && end != std::string::npos ? all.substr(begin + 1, end - begin - 1) : "";
}

bool Machine::has_module(const std::string &module) const
{
    const std::string all = "\n" + text("/proc/modules");
    return all.find("\n" + module + " ") != std::string::npos;
}

void add_doctor(CLI::App &app, Context &context)
{
    auto *const command =
        app.add_subcommand("doctor", "Look for what usually goes wrong, and say what to do");
    const auto options = std::make_shared<Options>();
    command
        ->add_option(
            "--at", options->where,
            "host (VMs run here), vm (a manager or a driver runs here), switch (the manager alone); what "
            "this machine seems to be unless told")
        ->check(CLI::IsMember({"host", "vm", "switch"}));
    command->add_option("--config", options->config,
                        "The manager's configuration, if it is not running");
    command->add_option("--driver", options->driver, "librte_net_rvif.so, as given to DPDK's -d");
    command->add_option("--root", options->root, "Look at a copy of a machine's files")
        ->capture_default_str();
    command->callback([&context, options] {
        context.action = [&context, options] { return doctor(context, *options); };
    });
}

} // namespace elisactl
