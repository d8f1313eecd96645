// SPDX-License-Identifier: Apache-2.0
// The guest's half: attach to an export, show it memory, call it.
//
//     auto attachment = elisa::Attachment::attach("rvs");
//     auto memory = elisa::HugeMemory::allocate(2 << 20);
//     auto region = attachment->register_region(memory->range());
//     auto answer = attachment->call(op, *region->offset(memory->data()));
//
// Needs CAP_SYS_RAWIO (the doorbell) and CAP_SYS_ADMIN (guest-physical addresses).
#pragma once

#include "elisa/error.hpp"
#include "elisa/memory.hpp"
#include "elisa/types.hpp"
#include "elisa_abi.h"

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace elisa {

// What a crossing brings back. 16 bytes in RAX:RDX, as the entry page leaves them.
struct CallResult {
    std::int64_t status; // 0: the image returned; otherwise a negative ELISA_E*
    std::int64_t value;  // what the image returned

    [[nodiscard]] bool ok() const noexcept { return status == 0; }
};

// ELISA_RESULT_BAD_TOKEN, the value of a call whose token was wrong; the image did not run.
inline constexpr std::int64_t bad_token = std::numeric_limits<std::int64_t>::min() + 1;

struct AttachOptions {
    // Names this attachment within the VM. A process that was killed leaves its attachment
    // behind; attaching the same instance again takes it over.
    std::uint64_t instance = 0;
    // For the export to appear, the manager to answer, and so on.
    std::chrono::milliseconds timeout{30'000};
    // Wait for an export that does not exist yet, up to `timeout`.
    bool wait_for_export = true;
};

struct AttachmentStats {
    std::uint64_t crossings;
    std::uint64_t aborts;
    std::uint64_t off_default_exits;
    std::uint64_t return_traps;
};

// Of the last abort on the vCPU that asks.
struct AbortInfo {
    std::uint64_t exit_reason;
    std::uint64_t rip;
    std::uint64_t qualification;
    std::uint64_t detail; // guest-linear address or interruption information
};

namespace detail {

class Session;

// The stub at ELISA_GATE_VA in the default context, see src/guest/crossing.S. The
// parameters are in the order that leaves the registers as the gate wants them.
using Stub = CallResult(std::uint64_t token, std::uint64_t a0, std::uint64_t a1,
                        std::uint64_t gate_index, std::uint64_t a2, std::uint64_t a3);

// Where it begins in the page: its 27 bytes end with the VMFUNC, at ELISA_ENTRY_OFF.
inline constexpr std::uint64_t stub_offset = ELISA_ENTRY_OFF - 27;

} // namespace detail

// Memory that the export may use. Removed (unmapped from the export and unpinned) when it goes.
class Region {
  public:
    Region(Region &&) noexcept = default;
    Region &operator=(Region &&other) noexcept;
    Region(const Region &) = delete;
    Region &operator=(const Region &) = delete;
    ~Region();

    [[nodiscard]] RegionId id() const noexcept { return id_; }
    // The ranges it was made of, laid end to end.
    [[nodiscard]] std::uint64_t length() const noexcept { return length_; }
    // Offset of `va` in the region; nullopt if it is not in it.
    [[nodiscard]] std::optional<std::uint64_t> offset(const void *va) const noexcept;

    Result<void> remove();

  private:
    friend class Attachment;
    Region(std::shared_ptr<detail::Session> session, RegionId id, std::uint64_t length,
           std::vector<MemoryRange> ranges);

    std::shared_ptr<detail::Session> session_;
    RegionId id_;
    std::uint64_t length_ = 0;
    std::vector<MemoryRange> ranges_;
};

class Attachment {
  public:
    [[nodiscard]] static Result<Attachment> attach(std::string_view export_name,
                                                   const AttachOptions &options = {});

    // Detaches when it goes, unless in a fork's child.
    Attachment(Attachment &&) noexcept = default;
    Attachment &operator=(Attachment &&other) noexcept;
    Attachment(const Attachment &) = delete;
    Attachment &operator=(const Attachment &) = delete;
    ~Attachment();

    // Crosses into the sub context and runs the image there, on this thread, without a VM exit.
    // From any thread on any vCPU that has been online since attach; on another one, and when the
    // export has ended, it returns -ELISA_E_DEAD. Where arm_here() succeeds then, the call had not
    // begun. Not from a signal handler.
    [[nodiscard]] CallResult call(std::uint64_t a0, std::uint64_t a1 = 0, std::uint64_t a2 = 0,
                                  std::uint64_t a3 = 0) const noexcept
    {
        return reinterpret_cast<detail::Stub *>(ELISA_GATE_VA + detail::stub_offset)(
            token_, a0, a1, gate_index_, a2, a3);
    }

    // call(), also from a vCPU that has come online, or has come back, since attach: it is armed
    // first. -ELISA_E_DEAD is the end, then; arm_here() says of what.
    [[nodiscard]] CallResult call_anywhere(std::uint64_t a0, std::uint64_t a1 = 0,
                                           std::uint64_t a2 = 0,
                                           std::uint64_t a3 = 0) const noexcept
    {
        const CallResult result = call(a0, a1, a2, a3);
        if (result.status == -ELISA_E_DEAD) [[unlikely]] {
            return arm_and_call(a0, a1, a2, a3);
        }
        return result;
    }

    // Hugetlb memory of this process, laid end to end in the order given, as one region. Waits
    // for the manager's answer.
    [[nodiscard]] Result<Region> register_region(std::span<const MemoryRange> ranges);
    [[nodiscard]] Result<Region> register_region(const MemoryRange &range)
    {
        return register_region(std::span{&range, 1});
    }

    // Arms the vCPU that this thread is on: one that has come online, or has come back, since
    // attach. Nothing changes if it is armed. From any thread; Errc::dead if the export has ended.
    Result<void> arm_here() const;

    Result<void> detach();

    [[nodiscard]] Result<AttachmentStats> stats() const;
    [[nodiscard]] Result<AbortInfo> abort_info() const;

    // For diagnosis and hostile tests; nothing here is a secret from this process.
    [[nodiscard]] std::uint64_t handle() const noexcept;
    [[nodiscard]] std::uint64_t token() const noexcept { return token_; }
    [[nodiscard]] std::uint64_t gate_index() const noexcept { return gate_index_; }
    [[nodiscard]] std::uint64_t sub_index() const noexcept { return sub_index_; }
    [[nodiscard]] std::uint32_t vcpus() const noexcept { return vcpus_; } // armed at attach

  private:
    explicit Attachment(std::shared_ptr<detail::Session> session) noexcept;

    struct Armed {
        std::uint64_t gate_index;
        std::uint64_t token;
        std::uint64_t sub_index;
    };
    Result<void> arm_online();
    [[nodiscard]] CallResult arm_and_call(std::uint64_t a0, std::uint64_t a1, std::uint64_t a2,
                                          std::uint64_t a3) const noexcept;
    [[nodiscard]] Result<Armed> arm_vcpu(int cpu) const; // which this thread is pinned to
    [[nodiscard]] Result<void> agrees(const Armed &armed, int cpu) const;

    std::uint64_t token_ = 0;
    std::uint64_t gate_index_ = 0;
    std::uint64_t sub_index_ = 0;
    std::uint32_t vcpus_ = 0;
    std::shared_ptr<detail::Session> session_;
};

} // namespace elisa
