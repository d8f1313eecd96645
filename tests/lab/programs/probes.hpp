// SPDX-License-Identifier: Apache-2.0
// Each probe tries something from inside a guest, prints an ELISA-RESULT and returns an exit
// status: 0 if things are as they should be.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace elisa {
class Attachment;
}

namespace probes {

// Of `action` in a child process: 0, or the signal that ended it; -1 if it returned false.
[[nodiscard]] int signal_of(const std::function<bool()> &action);

void vmfunc(std::uint32_t leaf, std::uint32_t index);

// Keeps this process and its children on one vCPU. Each has a list of its own: what is to be seen
// of a crossing must be looked for on the vCPU that crossed. False: it could not be.
[[nodiscard]] bool stay_on(int cpu);

// I1, on the vCPU that this process stays on. A VMFUNC that did switch would be aborted in there
// and come back by an old stack, perhaps to its own SIGILL: so the aborts count, too.
[[nodiscard]] bool sub_is_closed(const elisa::Attachment &attachment);

// VMFUNC is #UD in a VM that is not attached, whatever the index.
int vmfunc_unattached();

// Attached, on every vCPU: only the gate's index works; the sub's does not (I1). After a detach
// none does.
int vmfunc_attached(const std::string &export_name);

struct AttachExpectation {
    std::string export_name;
    std::string error;   // "refused", "role", "pcid", ...; "none": it must work
    double timeout = 10; // seconds
    bool wait = true;    // for the export to appear
};
int attach(const AttachExpectation &expected);

// A process without privileges can neither ring the doorbell nor call an attachment of its VM: all
// it can do is enter the gate, and the stub wants a token.
int unprivileged(const std::string &export_name);
// Its second half, in the process without privileges.
int unprivileged_child(std::uint64_t gate_index);

// What the image had in its registers is not in the caller's, neither after a return nor after an
// abort. The export is the faults image.
int leaks(const std::string &export_name);

struct BarToggle {
    std::string export_name = "nop";
    std::uint64_t rounds = 20;
    std::uint64_t crossings = 200; // in each round
};
// The memory BAR of an ivshmem device comes and goes (memory slots change, KVM builds new roots)
// while calls run.
int bar_toggle(const BarToggle &options);

// Memory of a guest's that is none to share: a device's (VM_PFNMAP in its QEMU), a read-only slot.
// The ordinary one beside them is.
int not_memory(const std::string &export_name);

struct AttachLoop {
    std::string export_name = "nop";
    std::uint64_t rounds = 50;
};
// Attach, cross, register memory, detach: again and again. The host counts what is left.
int attach_loop(const AttachLoop &options);

struct SweepOptions {
    std::string export_name = "nop";
    std::vector<std::string> events;
    std::uint64_t stride = 1; // every how many instructions
};
// At each instruction of a crossing, one event after the other (tests/lab/sweep). On a VM with one
// vCPU. What is left to do when this machine ends in the middle is what the next one begins with.
int sweep(const SweepOptions &options);

// What a manager may make an export of, and when. In a manager's VM.
int exporter();

// Calls until the export ends: that is an error, not a signal, and the next export of that name can
// be attached to.
int dead_export(const std::string &export_name);

// An image that left by the gate of the VM's other attachment: aborted, and its own sub context is
// closed (I1). And when the other one is detached, its gate is. Wants the faults image, and one
// vCPU.
int other_gate(const std::string &export_name);

// Calls while its export's manager is killed and another one takes over: none fails, memory and
// counter are what they were, and the successor admits regions and attachments.
int survivor(const std::string &export_name, double seconds);

// The addresses that a region had are not another's until no call can be under way that knew them.
int rested_region(const std::string &export_name);

// What a guest asks for and takes back, again and again, while nobody serves the export: it takes
// up no room that is for all. Returns how often it was refused.
int crowd(const elisa::Attachment &attachment, const std::string &export_name);

// Two regions are removed while nobody serves the export, so that the image still has their
// addresses: what it writes there is written neither to this memory nor to where the other was.
int removed_region(const std::string &export_name);

// With a quota of one attachment, 512 pinned pages and few calls a second.
int quotas(const std::string &export_name);

// Long calls for so many seconds, while the host pauses this VM and looks where it is: none of them
// comes to harm (I6).
int paused(const std::string &export_name, double seconds);

// Makes long calls until one is cut short because its vCPU had no CPU for long.
int preempted(const std::string &export_name);

// Long calls until this VM has got `wanted` NMIs: none of them does a call any harm (I6).
int nmis(const std::string &export_name, std::uint64_t wanted);

} // namespace probes
