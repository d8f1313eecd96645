// SPDX-License-Identifier: Apache-2.0
// A manager and guests, of VMs whose VMM is this program.
#pragma once

#include "host.hpp"
#include "vm.hpp"

#include <cstdint>

namespace vmm {

class Manager {
  public:
    explicit Manager(Host &host);

    // An export with this name and nothing in it.
    std::int64_t create(const char *name, std::uint64_t pages);
    // A page of guest memory, or more, as a part of it.
    std::int64_t add(std::uint64_t offset, std::uint64_t gpa, std::uint64_t length,
                     elisa_map kind = ELISA_MAP_DATA);
    // An export whose image is image_code().
    void publish(const char *name);
    // Says yes to all that is asked.
    void serve();

    Vm vm;
    std::uint64_t id = 0;        // the VM's
    std::uint64_t export_id = 0; // of the last one that was created
    std::uint64_t handle = 0;
};

class Guest {
  public:
    explicit Guest(Host &host);

    // Attaches, and has the manager agree.
    void attach(Manager &manager, const char *name, std::uint64_t instance = 1);
    std::int64_t try_attach(const char *name, std::uint64_t instance = 1);
    std::int64_t arm();
    Crossing cross(std::uint64_t value, std::uint64_t rounds = 0);
    // Whether there still is an attachment of this handle.
    bool attached();
    // A region of 2 MiB, told to the manager; its number, or a negative error.
    std::int64_t commit_region();
    std::int64_t remove_region(std::uint64_t number);

    Vm vm;
    std::uint64_t id = 0;
    std::uint64_t handle = 0;
    std::uint64_t gate = 0, token = 0;
};

} // namespace vmm
