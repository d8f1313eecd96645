// SPDX-License-Identifier: Apache-2.0
// /dev/elisa: the host administrator.
#pragma once

#include "elisa/unique_fd.hpp"
#include "elisa_abi.h"

#include <cstdint>

namespace vmm {

class Vm;

class Host {
  public:
    Host();

    std::uint64_t add(const Vm &vm, elisa_role role);
    // All ones where nothing is to change.
    static elisa_vm_quota unchanged(std::uint64_t vm);
    void set(elisa_vm_quota quota);
    [[nodiscard]] elisa_host_stats stats() const;
    [[nodiscard]] elisa_vm_info vm(std::uint64_t id) const;
    // That the manager of an export has not answered.
    [[nodiscard]] std::uint32_t events(std::uint64_t export_id) const;

  private:
    elisa::UniqueFd device_;
};

} // namespace vmm
