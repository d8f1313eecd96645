// SPDX-License-Identifier: Apache-2.0
#include "vm.hpp"

#include "stubs.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <stdexcept>
#include <sys/mman.h>
#include <utility>

namespace vmm {
namespace {

constexpr std::size_t page = 4096;
constexpr std::uint64_t anyone = 7; // present, writable, user
constexpr std::uint64_t large = 0x80;
constexpr std::uint64_t last_page = 0xffff'f000; // the reset vector is in it
constexpr std::uint32_t in_smm = 1 << 16;        // a memory slot of that address space
// IOPL 3: the doorbell without an I/O bitmap. IF: Bochs lets the host's interrupts end a VM entry
// without it only at the next exit.
constexpr std::uint64_t rflags = 0x3202;

constexpr std::uint64_t cr0_pe_ne = 0x31;
constexpr std::uint64_t cr0_pe_ne_pg = 0x8000'0000 | cr0_pe_ne;
constexpr std::uint64_t cr4_pae_sse_xsave = 1 << 5 | 1 << 9 | 1 << 10 | 1 << 18;
constexpr std::uint64_t efer_lme_lma = 0x500;

// kvm_cpuid2 and kvm_msrs: the kernel's own have another size in C++, and so would their ioctls.
template <class Entry, std::uint32_t most>
struct List {
    std::uint32_t count = most;
    std::uint32_t unused = 0;
    std::array<Entry, most> entries{};
};
static_assert(sizeof(List<kvm_msr_entry, 1>) == 8 + sizeof(kvm_msr_entry));
constexpr unsigned long list_ioctl(unsigned direction, unsigned number)
{
    return _IOC(direction, KVMIO, number, 8);
}
constexpr unsigned long get_supported_cpuid = list_ioctl(_IOC_READ | _IOC_WRITE, 0x05);
constexpr unsigned long set_cpuid_2 = list_ioctl(_IOC_WRITE, 0x90);
constexpr unsigned long get_msrs = list_ioctl(_IOC_READ | _IOC_WRITE, 0x88);
constexpr unsigned long set_msrs = list_ioctl(_IOC_WRITE, 0x89);

// In real mode: the handler of #UD.
void set_vector(Vm &vm, std::uint64_t table, std::uint64_t handler)
{
    const auto far = static_cast<std::uint32_t>(handler);
    vm.poke(table + 6 * sizeof(far), &far, sizeof(far));
}

void lay_tables(Vm &vm)
{
    const auto entry = [&](std::uint64_t number, std::uint64_t index, std::uint64_t value) {
        vm.poke(at::tables + number * page + index * sizeof(value), &value, sizeof(value));
    };
    const auto table = [](std::uint64_t number) { return (at::tables + number * page) | anyone; };
    entry(0, 0, table(1));
    entry(1, 0, table(2));
    for (std::uint64_t i = 0; i < 8; ++i) {
        entry(2, i, i << 21 | anyone | large);
    }
    entry(0, ELISA_SLOT_PML4, table(3));
    entry(3, ELISA_GATE_X >> 30, table(4));
    entry(4, ELISA_GATE_X >> 21 & 511, table(5));
    entry(5, ELISA_GATE_X >> 12 & 511, at::entry_page | anyone);
}

void lay_code(Vm &vm)
{
    const auto lay = [&](std::uint64_t gpa, Code code) { vm.poke(gpa, code.data(), code.size()); };
    lay(at::call, call_code());
    lay(at::image, image_code());
    lay(at::smi, smi_code());
    lay(at::smi_ud, smi_ud_code());
    lay(at::reset, reset_code());
    lay(at::reset_ud, reset_ud_code());
    lay(at::legacy, legacy_code());
    set_vector(vm, at::vectors, at::reset_ud);
    set_vector(vm, at::smi_vectors, at::smi_ud);
    constexpr std::array<std::uint16_t, 3> idtr{0x3ff, at::smi_vectors, 0};
    vm.poke(at::smi_idtr, idtr.data(), sizeof(idtr));
    constexpr std::array<std::uint8_t, 2> landing{0xe6, done_port};
    vm.poke(at::entry_page + ELISA_LANDING_OFF, landing.data(), sizeof(landing));
}

kvm_segment segment(std::uint16_t selector, std::uint8_t type, std::uint8_t dpl)
{
    kvm_segment s{};
    s.limit = 0xffff'ffff;
    s.selector = selector;
    s.type = type;
    s.present = s.s = s.g = 1;
    s.dpl = dpl;
    return s;
}

void segments_of_32_bits(kvm_sregs &s)
{
    s.cs = segment(0x08, 0xb, 0);
    s.cs.db = 1;
    s.ss = s.ds = s.es = s.fs = s.gs = segment(0x10, 3, 0);
    s.ss.db = 1;
}

} // namespace

void fail(const std::string &what)
{
    throw std::runtime_error{what + ": " + std::strerror(errno)};
}

std::uint64_t window_gpa()
{
    std::ifstream table{"/proc/cpuinfo"};
    for (std::string line; std::getline(table, line);) {
        if (line.starts_with("address sizes")) {
            return 1ull << (std::min(std::stoi(line.substr(line.find(':') + 1)), 48) - 1);
        }
    }
    throw std::runtime_error{"/proc/cpuinfo does not tell how wide addresses are"};
}

const char *name_of(End end)
{
    return end == End::out ? "out" : end == End::shutdown ? "shutdown" : "broken";
}

Memory::Memory(std::size_t length) : length_{length}
{
    void *const at =
        ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        fail("mmap");
    }
    data_ = static_cast<std::byte *>(at);
}

Memory::~Memory()
{
    ::munmap(data_, length_);
}

Vm::Vm() : memory_{at::end}, reset_page_{page}, kvm_{::open("/dev/kvm", O_RDWR | O_CLOEXEC)}
{
    if (!kvm_) {
        fail("/dev/kvm");
    }
    vm_ = elisa::UniqueFd{::ioctl(kvm_.get(), KVM_CREATE_VM, 0)};
    // The APIC takes messages, and three pages of KVM's own come to be memory of the VM.
    if (!vm_ || vm_ioctl(KVM_SET_TSS_ADDR, 0xfffb'd000ul) != 0 ||
        vm_ioctl(KVM_CREATE_IRQCHIP, 0) != 0) {
        fail("creating a VM");
    }
    vcpu_ = elisa::UniqueFd{vm_ioctl(KVM_CREATE_VCPU, 0)};
    run_size_ = static_cast<std::size_t>(::ioctl(kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, 0));
    void *const shared =
        ::mmap(nullptr, run_size_, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_.get(), 0);
    if (!vcpu_ || shared == MAP_FAILED) {
        fail("creating a vCPU");
    }
    run_ = static_cast<kvm_run *>(shared);

    set_cpuid(false);
    if (vcpu_ioctl(KVM_GET_SREGS, &initial_) != 0) {
        fail("KVM_GET_SREGS");
    }
    // KVM knows where messages go from the moment that its APIC is written.
    kvm_lapic_state apic{};
    if (vcpu_ioctl(KVM_GET_LAPIC, &apic) != 0 || vcpu_ioctl(KVM_SET_LAPIC, &apic) != 0) {
        fail("the vCPU's APIC");
    }
    slot(0, 0, memory_.length(), memory_.data());
    slot(in_smm, 0, memory_.length(), memory_.data());
    slot(1, last_page, page, reset_page_.data());
    constexpr std::array<std::uint8_t, 5> jump{0xea, at::reset & 0xff, at::reset >> 8, 0, 0};
    std::memcpy(reset_page_.data() + 0xff0, jump.data(), jump.size());
    lay_tables(*this);
    lay_code(*this);
    user_mode();
    set_xcr0(7);
}

bool Vm::set_cpuid(bool tracing)
{
    constexpr std::uint32_t intel_pt = 1 << 25; // of leaf 7, EBX
    List<kvm_cpuid_entry2, 256> cpuid;
    if (::ioctl(kvm_.get(), get_supported_cpuid, &cpuid) != 0) {
        fail("KVM_GET_SUPPORTED_CPUID");
    }
    bool can_trace = false;
    for (std::uint32_t i = 0; i < cpuid.count; ++i) {
        kvm_cpuid_entry2 &entry = cpuid.entries[i];
        if (entry.function == 7 && entry.index == 0) {
            can_trace = (entry.ebx & intel_pt) != 0;
            entry.ebx &= tracing ? ~0u : ~intel_pt;
        }
    }
    if (vcpu_ioctl(set_cpuid_2, &cpuid) != 0) {
        fail("KVM_SET_CPUID2");
    }
    return can_trace || !tracing;
}

bool Vm::give_tracing()
{
    return set_cpuid(true);
}

bool Vm::give_pebs()
{
    constexpr std::uint32_t perf_capabilities = 0x345;
    constexpr std::uint64_t pebs_format = 0xf00;
    List<kvm_msr_entry, 1> msrs;
    msrs.entries[0].index = perf_capabilities;
    return ::ioctl(kvm_.get(), get_msrs, &msrs) == 1 && (msrs.entries[0].data & pebs_format) != 0 &&
           vcpu_ioctl(set_msrs, &msrs) == 1;
}

// The mapping would keep the VM.
Vm::~Vm()
{
    ::munmap(run_, run_size_);
}

void Vm::slot(std::uint32_t number, std::uint64_t gpa, std::uint64_t length, void *host,
              std::uint32_t flags)
{
    kvm_userspace_memory_region region{};
    region.slot = number;
    region.flags = flags;
    region.guest_phys_addr = gpa;
    region.memory_size = length;
    region.userspace_addr = reinterpret_cast<std::uint64_t>(host);
    if (vm_ioctl(KVM_SET_USER_MEMORY_REGION, &region) != 0) {
        fail("a memory slot");
    }
}

void Vm::poke(std::uint64_t gpa, const void *bytes, std::size_t count)
{
    std::memcpy(memory_.data() + gpa, bytes, count);
}

std::uint8_t Vm::peek(std::uint64_t gpa) const
{
    return static_cast<std::uint8_t>(memory_.data()[gpa]);
}

void Vm::user_mode()
{
    kvm_sregs s = initial_;
    s.cr0 = cr0_pe_ne_pg;
    s.cr3 = at::tables;
    s.cr4 = cr4_pae_sse_xsave;
    s.efer = efer_lme_lma;
    s.cs = segment(0x33, 0xb, 3);
    s.cs.l = 1;
    s.ss = s.ds = s.es = s.fs = s.gs = segment(0x2b, 3, 3);
    s.ss.db = 1;
    s.idt.limit = 0;
    if (vcpu_ioctl(KVM_SET_SREGS, &s) != 0) {
        fail("KVM_SET_SREGS: 64-bit mode");
    }
}

void Vm::compatibility_mode()
{
    kvm_sregs s{};
    vcpu_ioctl(KVM_GET_SREGS, &s);
    segments_of_32_bits(s);
    if (vcpu_ioctl(KVM_SET_SREGS, &s) != 0) {
        fail("KVM_SET_SREGS: compatibility mode");
    }
}

void Vm::protected_mode()
{
    kvm_sregs s = initial_;
    s.cr0 = cr0_pe_ne;
    segments_of_32_bits(s);
    if (vcpu_ioctl(KVM_SET_SREGS, &s) != 0) {
        fail("KVM_SET_SREGS: protected mode");
    }
}

void Vm::real_mode()
{
    if (vcpu_ioctl(KVM_SET_SREGS, &initial_) != 0) {
        fail("KVM_SET_SREGS: real mode");
    }
}

bool Vm::set_cr4(std::uint64_t set)
{
    kvm_sregs s{};
    vcpu_ioctl(KVM_GET_SREGS, &s);
    s.cr4 |= set;
    return vcpu_ioctl(KVM_SET_SREGS, &s) == 0;
}

void Vm::set_cr3(std::uint64_t value)
{
    kvm_sregs s{};
    vcpu_ioctl(KVM_GET_SREGS, &s);
    s.cr3 = value;
    if (vcpu_ioctl(KVM_SET_SREGS, &s) != 0) {
        fail("KVM_SET_SREGS: CR3");
    }
}

bool Vm::set_xcr0(std::uint64_t value)
{
    kvm_xcrs x{};
    x.nr_xcrs = 1;
    x.xcrs[0].value = value;
    return vcpu_ioctl(KVM_SET_XCRS, &x) == 0;
}

bool Vm::signal(std::uint32_t delivery_mode)
{
    kvm_msi message{};
    message.address_lo = 0xfee0'0000;
    message.data = delivery_mode << 8;
    return vm_ioctl(KVM_SIGNAL_MSI, &message) > 0;
}

kvm_regs Vm::registers() const
{
    kvm_regs r{};
    if (vcpu_ioctl(KVM_GET_REGS, &r) != 0) {
        fail("KVM_GET_REGS");
    }
    return r;
}

End Vm::run()
{
    for (;;) {
        if (vcpu_ioctl(KVM_RUN, 0) != 0) {
            if (errno == EINTR || errno == EAGAIN) {
                continue;
            }
            return End::broken;
        }
        switch (run_->exit_reason) {
        case KVM_EXIT_IO:
            return run_->io.port == done_port ? End::out : End::broken;
        case KVM_EXIT_SHUTDOWN:
            return End::shutdown;
        default:
            return End::broken;
        }
    }
}

End Vm::run_at(std::uint64_t rip, std::uint64_t rcx)
{
    kvm_regs r{};
    r.rip = rip;
    r.rcx = rcx;
    r.rsp = at::stack;
    r.rflags = 2;
    vcpu_ioctl(KVM_SET_REGS, &r);
    return run();
}

std::int64_t Vm::call(elisa_call number, Call &c)
{
    kvm_regs r{};
    r.rip = at::call;
    r.rsp = at::stack;
    r.rflags = rflags;
    r.rax = ELISA_MAGIC;
    r.rdx = ELISA_PORT;
    r.rcx = number;
    r.rbx = c.rbx;
    r.rsi = c.rsi;
    r.rdi = c.rdi;
    r.r8 = c.r8;
    r.r9 = c.r9;
    r.r10 = c.r10;
    vcpu_ioctl(KVM_SET_REGS, &r);
    const End end = run();
    if (end != End::out) {
        throw std::runtime_error{std::string{"a doorbell call ended with "} + name_of(end)};
    }
    r = registers();
    c = {r.rbx, r.rsi, r.rdi, r.r8, r.r9, r.r10};
    return static_cast<std::int64_t>(r.rax);
}

Crossing Vm::cross(std::uint64_t gate, std::uint64_t token, std::uint64_t rounds,
                   std::uint64_t value, std::uint64_t offset)
{
    constexpr std::array<std::uint8_t, 3> vmfunc{0x0f, 0x01, 0xd4};
    poke(at::entry_page + offset - vmfunc.size(), vmfunc.data(), vmfunc.size());
    kvm_regs r{};
    r.rip = ELISA_GATE_VA + offset - vmfunc.size();
    r.rsp = at::stack;
    r.rflags = rflags;
    r.rcx = gate;
    r.r10 = token;
    r.rsi = rounds;
    r.rdx = value;
    vcpu_ioctl(KVM_SET_REGS, &r);
    Crossing c{.end = run()};
    r = registers();
    c.status = static_cast<std::int64_t>(r.rax);
    c.value = r.rdx;
    return c;
}

} // namespace vmm
