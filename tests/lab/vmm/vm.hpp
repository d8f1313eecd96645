// SPDX-License-Identifier: Apache-2.0
// A VM of one vCPU whose VMM is this program, so that what no QEMU does can be done to it. In it a
// few instructions run at CPL 3, with the registers that they are given.
#pragma once

#include "elisa/unique_fd.hpp"
#include "elisa_abi.h"

#include <cstddef>
#include <cstdint>
#include <linux/kvm.h>
#include <string>

namespace vmm {

enum class End {
    out,      // the stub's last instruction
    shutdown, // a fault: there is no IDT
    broken,   // KVM could not enter it
};
[[nodiscard]] const char *name_of(End end);

// Registers of a doorbell call, in and out.
struct Call {
    std::uint64_t rbx = 0, rsi = 0, rdi = 0, r8 = 0, r9 = 0, r10 = 0;
};

struct Crossing {
    End end = End::broken;
    std::int64_t status = 0; // RAX at the landing
    std::uint64_t value = 0; // RDX
    [[nodiscard]] bool returned(std::uint64_t wanted) const
    {
        return end == End::out && status == 0 && value == wanted;
    }
    // VMFUNC was #UD.
    [[nodiscard]] bool refused() const { return end == End::shutdown; }
};

// Of pages; unmapped at its end.
class Memory {
  public:
    explicit Memory(std::size_t length);
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
    ~Memory();
    [[nodiscard]] std::byte *data() const { return data_; }
    [[nodiscard]] std::size_t length() const { return length_; }

  private:
    std::byte *data_ = nullptr;
    std::size_t length_;
};

class Vm {
  public:
    Vm();
    Vm(const Vm &) = delete;
    Vm &operator=(const Vm &) = delete;
    ~Vm();

    [[nodiscard]] int fd() const { return vm_.get(); }
    // The result of an ioctl of the vCPU or of the VM.
    template <class... Argument>
    int vcpu_ioctl(unsigned long request, Argument... argument) const;
    template <class... Argument>
    int vm_ioctl(unsigned long request, Argument... argument) const;

    // Memory slots from 2 on are the caller's; length 0 removes one.
    void slot(std::uint32_t number, std::uint64_t gpa, std::uint64_t length, void *host,
              std::uint32_t flags = 0);
    void poke(std::uint64_t gpa, const void *bytes, std::size_t count);
    [[nodiscard]] std::uint8_t peek(std::uint64_t gpa) const;

    // 64-bit code at CPL 3, as it is from the start.
    void user_mode();
    // 32-bit code at CPL 0, in long mode still.
    void compatibility_mode();
    // 32-bit code at CPL 0, without paging.
    void protected_mode();
    // As a VM that was reset from outside.
    void real_mode();
    bool set_cr4(std::uint64_t set);
    void set_cr3(std::uint64_t value);
    // False: no VM of this host can have it. Intel PT: before the vCPU has run.
    bool give_tracing();
    bool give_pebs();
    bool set_xcr0(std::uint64_t value);
    // An interrupt message of this delivery mode to the vCPU, from another thread too. False:
    // nobody took it.
    [[nodiscard]] bool signal(std::uint32_t delivery_mode);

    std::int64_t call(elisa_call number, Call &registers);
    // VMFUNC(gate) in front of this offset of the entry page.
    Crossing cross(std::uint64_t gate, std::uint64_t token, std::uint64_t rounds,
                   std::uint64_t value, std::uint64_t offset = ELISA_ENTRY_OFF);
    // From this address on, with this RCX.
    End run_at(std::uint64_t rip, std::uint64_t rcx);
    // Goes on where it stopped.
    End run();
    [[nodiscard]] kvm_regs registers() const;

  private:
    bool set_cpuid(bool tracing);

    Memory memory_;
    Memory reset_page_;
    elisa::UniqueFd kvm_, vm_, vcpu_;
    kvm_run *run_ = nullptr;
    std::size_t run_size_ = 0;
    kvm_sregs initial_{};
};

// Where elisa.ko puts the window, by what this kernel knows of the CPU.
[[nodiscard]] std::uint64_t window_gpa();

[[noreturn]] void fail(const std::string &what);

} // namespace vmm

#include <sys/ioctl.h>

namespace vmm {

template <class... Argument>
int Vm::vcpu_ioctl(unsigned long request, Argument... argument) const
{
    return ::ioctl(vcpu_.get(), request, argument...);
}

template <class... Argument>
int Vm::vm_ioctl(unsigned long request, Argument... argument) const
{
    return ::ioctl(vm_.get(), request, argument...);
}

} // namespace vmm
