// SPDX-License-Identifier: Apache-2.0
// /dev/elisa, and where QEMU keeps its VM.
#pragma once

#include "elisa/error.hpp"
#include "elisa/unique_fd.hpp"
#include "elisa_abi.h"

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace elisactl {

// A copy of the VM file of the process `pid`, an unmodified QEMU.
[[nodiscard]] elisa::Result<elisa::UniqueFd> vm_of_process(pid_t pid);

// The process of the VM that libvirt calls so, or that QEMU was told to call so (-name).
[[nodiscard]] elisa::Result<pid_t> process_of_vm(const std::string &name);

// VMs of any process: the process and what it runs.
struct RunningVm {
    pid_t pid;
    std::vector<std::string> command;
};
[[nodiscard]] std::vector<RunningVm> running_vms();

class Host {
  public:
    [[nodiscard]] static elisa::Result<Host> open();

    [[nodiscard]] elisa::Result<std::uint64_t> add(int vm_fd, elisa_role role,
                                                   std::string_view label);
    elisa::Result<void> remove(std::uint64_t id);
    [[nodiscard]] elisa::Result<elisa_host_stats> stats() const;
    [[nodiscard]] elisa::Result<std::vector<elisa_vm_info>> vms() const;
    elisa::Result<void> set_quota(const elisa_vm_quota &quota);
    [[nodiscard]] elisa::Result<std::vector<elisa_export_info>> exports() const;
    elisa::Result<void> revoke(std::uint64_t export_id);

  private:
    explicit Host(elisa::UniqueFd device) : device_{std::move(device)} {}

    elisa::UniqueFd device_;
};

} // namespace elisactl
