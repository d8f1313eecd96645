// SPDX-License-Identifier: Apache-2.0
// What usually goes wrong, and what to do about it. One function for each place to look at.
#pragma once

#include "context.hpp"

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace elisactl {

enum class Status { ok, note, problem };

struct Finding {
    std::string check; // for programs: does not change
    Status status;
    std::string text;
    std::string fix{}; // empty: nothing is to be done
};
using Findings = std::vector<Finding>;

// A machine's files, or a copy of them in a folder.
class Machine {
  public:
    explicit Machine(std::filesystem::path root) : root_{std::move(root)} {}

    [[nodiscard]] std::filesystem::path path(const std::string &name) const;
    [[nodiscard]] std::string text(const std::string &name) const; // "" if there is none
    [[nodiscard]] bool exists(const std::string &name) const;
    [[nodiscard]] bool is_this_one() const { return root_ == "/"; }
    [[nodiscard]] std::string release() const;
    // Of the first CPU, as /proc/cpuinfo has it; "" if it does not.
    [[nodiscard]] std::string cpu_field(std::string_view name) const;
    [[nodiscard]] std::set<std::string> cpu_flags() const;
    [[nodiscard]] std::set<std::string> vmx_flags() const;
    // "none", "integrity", "confidentiality"; "" where the kernel does not know it.
    [[nodiscard]] std::string lockdown() const;
    [[nodiscard]] bool has_module(const std::string &name) const;

  private:
    std::filesystem::path root_;
};

// Whether VMs can have VMFUNC here, and the kernel modules of ours.
void look_at_host_hardware(const Machine &machine, Findings &findings);
// Whether the kernel that runs can have the hooks, and which modules it has.
void look_at_host_software(const Machine &machine, Findings &findings);
// Where VMs run.
void look_at_host(const Machine &machine, Findings &findings);
// Where a manager or a driver runs. driver: the plugin's file, or empty.
void look_at_vm(const Machine &machine, const std::string &driver, Findings &findings);
// What /dev/elisa says.
void look_at_module(Findings &findings);
// A manager, its ports and its configuration. config: the file, or empty: the manager's.
void look_at_switch(const Context &context, const std::string &config, Findings &findings);

// What was found, in words or as JSON. The exit status: 1 if there is a problem.
int report(const Context &context, std::string_view where, const Findings &findings);

} // namespace elisactl
