// SPDX-License-Identifier: Apache-2.0
#include "cases.hpp"
#include "parties.hpp"
#include "stubs.hpp"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace vmm {
namespace {

// Delivery modes of an interrupt message.
constexpr std::uint32_t mode_smi = 2;
constexpr std::uint32_t mode_init = 5;

constexpr std::uint64_t cr4_vmxe = 1 << 13, cr4_pcide = 1 << 17;

std::string seen(const Crossing &c)
{
    return std::string{name_of(c.end)} + ", status " + std::to_string(c.status) + ", value " +
           std::to_string(c.value);
}

// A guest that crosses.
struct Parties {
    Parties()
    {
        manager.publish("vmm-vcpu");
        guest.attach(manager, "vmm-vcpu");
        arm();
    }
    void arm()
    {
        if (const std::int64_t result = guest.arm(); result != 0) {
            throw std::runtime_error{"arming: error " + std::to_string(-result)};
        }
        if (const Crossing c = guest.cross(5); !c.returned(5)) {
            throw std::runtime_error{"a crossing to begin with: " + seen(c)};
        }
    }
    // A call that is so long that something can be sent to it.
    std::uint64_t long_call()
    {
        constexpr std::chrono::milliseconds enough{15};
        for (std::uint64_t rounds = 1'000'000;; rounds *= 2) {
            const auto begin = std::chrono::steady_clock::now();
            if (const Crossing c = guest.cross(6, rounds); !c.returned(6)) {
                throw std::runtime_error{"a long call: " + seen(c)};
            }
            if (std::chrono::steady_clock::now() - begin > enough) {
                return rounds;
            }
        }
    }
    // A message comes in the middle of it.
    struct Sent {
        Crossing crossing;
        int messages; // some came too late
    };
    Sent cross_and_send(std::uint32_t mode)
    {
        for (int messages = 1; messages <= 20; ++messages) {
            const std::uint64_t rounds = long_call();
            std::atomic<bool> ready{false};
            std::atomic<bool> sent{false}, taken{false};
            std::thread other{[&] {
                ready = true;
                std::this_thread::sleep_for(std::chrono::milliseconds{3});
                taken = guest.vm.signal(mode);
                sent = true;
            }};
            while (!ready) {
                std::this_thread::yield();
            }
            const Crossing c = guest.cross(9, rounds);
            const bool in_time = sent;
            other.join();
            if (!taken) {
                throw std::runtime_error{"nobody took a message"};
            }
            if (in_time) {
                return {c, messages};
            }
            // It takes effect now; then all is as before.
            static_cast<void>(guest.vm.run_at(at::reset_ud, 0));
            guest.vm.user_mode();
            arm();
        }
        throw std::runtime_error{"no message came in time"};
    }

    Host host;
    Manager manager{host};
    Guest guest{host};
};

} // namespace

void smm(Report &report)
{
    Parties parties;
    Guest &guest = parties.guest;
    if (guest.vm.vcpu_ioctl(KVM_SMI, 0) != 0) {
        fail("KVM_SMI");
    }
    Crossing c = guest.cross(7);
    report.expect("VMFUNC in SMM is #UD", guest.vm.peek(at::smi_count) == 1,
                  std::to_string(guest.vm.peek(at::smi_count)) + " times, then " + seen(c));
    report.expect("back from SMM it crosses", c.returned(7), seen(c));

    const Parties::Sent sent = parties.cross_and_send(mode_smi);
    report.expect("a call in which an SMI comes", sent.crossing.returned(9), seen(sent.crossing));
    c = guest.cross(8);
    report.expect("the SMI was handled",
                  guest.vm.peek(at::smi_count) == 1 + sent.messages && c.returned(8), seen(c));
}

void init_in_sub(Report &report)
{
    Parties parties;
    Guest &guest = parties.guest;
    const Crossing c = parties.cross_and_send(mode_init).crossing;
    const bool again = c.end == End::out && guest.vm.registers().rip == at::reset_ud;
    report.expect("it starts again, and VMFUNC is #UD", again, seen(c));
    guest.vm.user_mode();
    parties.arm();
    report.expect("armed again it crosses", true);
}

void legacy_modes(Report &report)
{
    Parties parties;
    Guest &guest = parties.guest;
    const std::uint64_t aborts = parties.host.vm(guest.id).aborts;
    guest.vm.compatibility_mode();
    const End end = guest.vm.run_at(at::legacy, guest.gate);
    const bool none = parties.host.vm(guest.id).aborts == aborts;
    report.expect("VMFUNC outside of long mode is #UD", end == End::shutdown && none,
                  std::string{name_of(end)} + (none ? "" : ", the gate was entered"));
    guest.vm.user_mode();
    parties.arm();
    report.expect("armed again it crosses", true);

    Manager manager{parties.host};
    manager.vm.protected_mode();
    const std::int64_t result = manager.create("vmm-legacy", 1);
    report.expect("a manager exports nothing", result == -ELISA_E_MODE,
                  "result " + std::to_string(result));
}

void reset_outside(Report &report)
{
    Parties parties;
    Guest &guest = parties.guest;
    if (guest.commit_region() < 0) {
        throw std::runtime_error{"no region"};
    }
    guest.vm.real_mode();
    const End end = guest.vm.run_at(0xfff0, 0);
    const elisa_vm_info info = parties.host.vm(guest.id);
    guest.vm.user_mode();
    report.expect("nothing of it stays attached or pinned",
                  info.attachments == 0 && info.pinned_pages == 0 && !guest.attached(),
                  std::to_string(info.attachments) + " attachments, " +
                      std::to_string(info.pinned_pages) + " pages");
    report.expect("VMFUNC is #UD", end == End::out, name_of(end));

    parties.manager.vm.real_mode();
    parties.manager.vm.run_at(0xfff0, 0);
    const std::uint32_t exports = parties.host.vm(parties.manager.id).exports;
    parties.manager.vm.user_mode();
    report.expect("a manager's exports end", exports == 0, std::to_string(exports) + " exports");
}

void control_bits(Report &report)
{
    Parties parties;
    Guest &guest = parties.guest;
    struct Feature {
        const char *name;
        std::uint64_t bit;
        elisa_error error;
    };
    constexpr Feature features[] = {
        {"PCID", cr4_pcide, ELISA_E_PCID},     {"VMX", cr4_vmxe, ELISA_E_NESTED},
        {"CET", 1 << 23, ELISA_E_FEATURE},     {"UINTR", 1 << 25, ELISA_E_FEATURE},
        {"FRED", 1ull << 32, ELISA_E_FEATURE},
    };
    for (const Feature &feature : features) {
        const std::string name = feature.name;
        // A vCPU that is not armed may, if the CPU and this kernel can.
        Guest other{parties.host};
        other.attach(parties.manager, "vmm-vcpu");
        if (!other.vm.set_cr4(feature.bit)) {
            report.expect((name + " is none of a guest's, not run").c_str(),
                          feature.bit != cr4_pcide && feature.bit != cr4_vmxe);
            continue;
        }
        const std::int64_t result = other.arm();
        report.expect((name + " is on: not armed").c_str(), result == -feature.error,
                      "result " + std::to_string(result));
        report.expect((name + " cannot be switched on").c_str(), !guest.vm.set_cr4(feature.bit));
    }
    const Crossing c = guest.cross(7);
    report.expect("it crosses still", c.returned(7), seen(c));
}

void tracing(Report &report)
{
    Parties parties;
    Guest tracer{parties.host};
    if (!tracer.vm.give_tracing()) {
        report.expect("no guest of this host has Intel PT, not run", true);
    } else {
        tracer.attach(parties.manager, "vmm-vcpu");
        const std::int64_t result = tracer.arm();
        report.expect("a vCPU with Intel PT is not armed", result == -ELISA_E_FEATURE,
                      "result " + std::to_string(result));
    }
    // As a VMM may at any time, on 6.1.
    if (!parties.guest.vm.give_pebs()) {
        report.expect("no guest of this host has PEBS, or not any more, not run", true);
        return;
    }
    const Crossing c = parties.guest.cross(7);
    report.expect("with PEBS VMFUNC is #UD", c.refused(), seen(c));
}

// Page tables in memory that appears in the sub context, which lead to what the sub's own lead to
// but for the counters' page: that is the guest's. The guest itself cannot load such a CR3 and go
// on; KVM_SET_SREGS can, and then nothing but a flush keeps the CPU from what it has cached.
void root_in_window(Report &report)
{
    constexpr std::uint64_t page = 4096, anyone = 7, large = 0x80, evidence = 4;
    Parties parties;
    Guest &guest = parties.guest;
    if (guest.commit_region() < 0) {
        throw std::runtime_error{"no region"};
    }
    const std::uint64_t window = window_gpa();
    const auto sub_gpa = [&](std::uint64_t number) {
        return window + ELISA_WINDOW_X + number * page;
    };
    const auto entry = [&](std::uint64_t number, std::uint64_t index, std::uint64_t value) {
        value |= anyone;
        guest.vm.poke(at::data + number * page + index * sizeof(value), &value, sizeof(value));
    };
    entry(0, ELISA_SLOT_PML4, sub_gpa(1));
    for (std::uint64_t gib = 0; gib < ELISA_SLOT_SIZE >> 30; ++gib) {
        entry(1, gib, (window + (gib << 30)) | large);
    }
    entry(1, ELISA_GATE_X >> 30, sub_gpa(2));
    entry(2, ELISA_GATE_X >> 21 & 511, sub_gpa(3));
    for (std::uint64_t i = 0; i < 512; ++i) {
        entry(3, i, window + (ELISA_GATE_X >> 21 << 21) + i * page);
    }
    entry(3, ELISA_COUNTERS_X >> 12 & 511, sub_gpa(evidence));
    parties.arm(); // and crosses: what the CPU caches is cached
    guest.vm.set_cr3(sub_gpa(0));
    const Crossing c = guest.cross(7);
    report.expect("it is not walked",
                  !c.returned(7) && guest.vm.peek(at::data + evidence * page) == 0, seen(c));
    guest.vm.user_mode();
    parties.arm();
    report.expect("with its own root it crosses", true);
}

void nested_state(Report &report)
{
    Parties parties;
    Guest &guest = parties.guest;
    const auto set = [&](std::uint64_t vmxon) {
        kvm_nested_state state{};
        state.format = KVM_STATE_NESTED_FORMAT_VMX;
        state.size = sizeof(state);
        state.hdr.vmx.vmxon_pa = vmxon;
        state.hdr.vmx.vmcs12_pa = ~std::uint64_t{0};
        if (guest.vm.vcpu_ioctl(KVM_SET_NESTED_STATE, &state) != 0) {
            fail("KVM_SET_NESTED_STATE");
        }
    };
    set(at::data);
    const Crossing c = guest.cross(7);
    report.expect("in VMX operation VMFUNC is #UD", c.refused(), seen(c));
    set(~std::uint64_t{0});
    parties.arm();
    report.expect("out of it, and armed again, it crosses", true);
}

void vector_state(Report &report)
{
    Parties parties;
    Guest &guest = parties.guest;
    for (const std::uint64_t other : {3u, 7u}) {
        if (!guest.vm.set_xcr0(other)) {
            fail("KVM_SET_XCRS");
        }
        const Crossing c = guest.cross(7);
        report.expect(other == 3 ? "armed with AVX, VMFUNC is #UD without"
                                 : "armed without AVX, VMFUNC is #UD with it",
                      c.refused(), seen(c));
        parties.arm();
    }
    report.expect("armed again it crosses", true);
}

} // namespace vmm
