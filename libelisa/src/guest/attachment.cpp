// SPDX-License-Identifier: Apache-2.0
#include "cpus.hpp"
#include "elisa/doorbell.hpp"
#include "elisa/guest.hpp"
#include "elisa/pinned.hpp"
#include "session.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace elisa {
namespace detail {

Result<AbortStacks> AbortStacks::allocate(std::size_t count)
{
    void *const base = ::mmap(nullptr, count * stack_size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return errno_error(errno, "mapping the abort stacks");
    }
    AbortStacks stacks;
    stacks.base_ = static_cast<std::byte *>(base);
    stacks.count_ = count;
    return stacks;
}

AbortStacks::~AbortStacks()
{
    if (base_ != nullptr) {
        ::munmap(base_, count_ * stack_size);
    }
}

std::uint64_t AbortStacks::top(std::size_t index) const noexcept
{
    return reinterpret_cast<std::uint64_t>(base_) + (index + 1) * stack_size;
}

Session::Session() noexcept : owner_{::getpid()} {}

bool Session::live() const noexcept
{
    return handle.has_value() && ::getpid() == owner_;
}

Result<void> Session::detach()
{
    if (!live()) {
        return {};
    }
    const std::uint64_t number = *handle;
    handle.reset();
    auto done = doorbell::call(ELISA_CALL_DETACH, {.rbx = number},
                               "detaching from export '" + export_name + "'");
    if (!done) {
        return std::move(done).error();
    }
    return {};
}

Session::~Session()
{
    static_cast<void>(detach());
}

namespace {

// One attachment belongs to one process. The kernel drops the lock with its holder, however it
// dies, so what is found unlocked may be taken over.
Result<UniqueFd> lock_instance(std::string_view export_name, std::uint64_t instance)
{
    constexpr const char *directory = "/run/elisa";
    if (::mkdir("/run", 0755) != 0 && errno != EEXIST) {
        return errno_error(errno, "creating /run");
    }
    if (::mkdir(directory, 0755) != 0 && errno != EEXIST) {
        return errno_error(errno, std::string{"creating "} + directory);
    }
    const std::string path = std::string{directory} + "/" + std::string{export_name} + "." +
                             std::to_string(instance) + ".lock";
    UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!fd) {
        return errno_error(errno, path);
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        const int error = errno;
        if (error == EWOULDBLOCK) {
            return Error{make_error_code(Errc::busy),
                         "instance " + std::to_string(instance) + " of export '" +
                             std::string{export_name} +
                             "' is attached by another live process of this VM; give this one a "
                             "different instance number (lock: " +
                             path + ")"};
        }
        return errno_error(error, path);
    }
    return fd;
}

} // namespace
} // namespace detail

Attachment::Attachment(std::shared_ptr<detail::Session> session) noexcept
    : session_{std::move(session)}
{
}

Attachment::~Attachment()
{
    if (session_) {
        static_cast<void>(session_->detach());
    }
}

Attachment &Attachment::operator=(Attachment &&other) noexcept
{
    std::swap(token_, other.token_);
    std::swap(gate_index_, other.gate_index_);
    std::swap(sub_index_, other.sub_index_);
    std::swap(vcpus_, other.vcpus_);
    std::swap(session_, other.session_);
    return *this;
}

std::uint64_t Attachment::handle() const noexcept
{
    return session_ && session_->handle ? *session_->handle : 0;
}

Result<Attachment> Attachment::attach(std::string_view export_name, const AttachOptions &options)
{
    const auto name = doorbell::pack_name(export_name);
    if (!name) {
        return name.error();
    }
    const auto version = doorbell::probe();
    if (!version) {
        return version.error();
    }
    auto session = std::make_shared<detail::Session>();
    session->export_name = export_name;
    session->timeout = options.timeout;

    auto lock = detail::lock_instance(export_name, options.instance);
    if (!lock) {
        return std::move(lock).error();
    }
    session->lock = std::move(*lock);
    auto page = detail::EntryPage::get();
    if (!page) {
        return std::move(page).error();
    }
    session->entry_page = std::move(*page);

    const std::string what = "attaching to export '" + session->export_name + "'";
    const auto deadline = std::chrono::steady_clock::now() + options.timeout;
    const auto seconds = [&] {
        return std::to_string(std::chrono::duration<double>(options.timeout).count()).substr(0, 5);
    };

    // The manager's VM may still be booting.
    const doorbell::Registers arguments{.rbx = (*name)[0],
                                        .rsi = (*name)[1],
                                        .rdi = (*name)[2],
                                        .r8 = (*name)[3],
                                        .r9 = options.instance};
    Result<doorbell::Registers> attached = doorbell::Registers{};
    const bool answered = detail::poll_until(deadline, [&] {
        attached = doorbell::call(ELISA_CALL_ATTACH, arguments, what);
        return attached.has_value() || !options.wait_for_export ||
               (attached.error().code != Errc::no_entry && attached.error().code != Errc::state);
    });
    if (!attached) {
        Error error = std::move(attached).error();
        if (!answered) {
            error.message += " (waited " + seconds() + " s)";
        }
        return error;
    }
    session->handle = attached->rbx;

    // The manager decides.
    Result<doorbell::Registers> status = doorbell::Registers{};
    const bool decided = detail::poll_until(deadline, [&] {
        status = doorbell::call(ELISA_CALL_ATTACH_STATUS, {.rbx = *session->handle}, what);
        return !status || status->rbx != ELISA_STATE_PENDING;
    });
    if (!decided) {
        return make_error(Errc::timeout, what + ": its manager has not answered for " + seconds() +
                                             " s; is it running?");
    }
    if (!status) {
        return std::move(status).error();
    }
    if (status->rbx == ELISA_STATE_REFUSED) {
        return detail::refusal(status->rsi, what);
    }
    if (status->rbx != ELISA_STATE_READY) {
        return abi_error(-ELISA_E_DEAD, what);
    }

    Attachment attachment{std::move(session)};
    if (auto armed = attachment.arm_online(); !armed) {
        return std::move(armed).error();
    }
    return attachment;
}

Result<Attachment::Armed> Attachment::arm_vcpu(int cpu) const
{
    const auto index = static_cast<std::size_t>(cpu);
    if (index >= session_->abort_stacks.count()) {
        return make_error(Errc::inconsistent,
                          "vCPU " + std::to_string(cpu) +
                              " is not among those that this VM was said to be able to have");
    }
    const auto armed = doorbell::call(
        ELISA_CALL_ARM, {.rbx = *session_->handle, .rsi = session_->abort_stacks.top(index)},
        "arming vCPU " + std::to_string(cpu) + " for export '" + session_->export_name + "'");
    if (!armed) {
        return armed.error();
    }
    return Armed{.gate_index = armed->rbx, .token = armed->rsi, .sub_index = armed->r8};
}

Result<void> Attachment::agrees(const Armed &armed, int cpu) const
{
    if (gate_index_ != armed.gate_index || token_ != armed.token) {
        return make_error(
            Errc::inconsistent,
            "vCPU " + std::to_string(cpu) + " was given gate " + std::to_string(armed.gate_index) +
                " or a token of its own; the other vCPUs have gate " + std::to_string(gate_index_));
    }
    return {};
}

Result<void> Attachment::arm_online()
{
    const auto possible = detail::possible_cpus();
    if (!possible) {
        return possible.error();
    }
    auto stacks = detail::AbortStacks::allocate(
        static_cast<std::size_t>(*std::max_element(possible->begin(), possible->end())) + 1);
    if (!stacks) {
        return std::move(stacks).error();
    }
    session_->abort_stacks = std::move(*stacks);

    const auto cpus = detail::online_cpus();
    if (!cpus) {
        return cpus.error();
    }
    bool first = true;
    for (const int cpu : *cpus) {
        const auto pinned = Pinned::to(cpu);
        if (!pinned) {
            Error error = pinned.error();
            error.message = "every online vCPU must be armed: " + error.message;
            return error;
        }
        const auto armed = arm_vcpu(cpu);
        if (!armed) {
            return armed.error();
        }
        if (std::exchange(first, false)) {
            gate_index_ = armed->gate_index;
            token_ = armed->token;
            sub_index_ = armed->sub_index;
        }
        if (auto same = agrees(*armed, cpu); !same) {
            return same;
        }
    }
    vcpus_ = static_cast<std::uint32_t>(cpus->size());
    return {};
}

Result<void> Attachment::arm_here() const
{
    if (!session_ || !session_->live()) {
        return make_error(Errc::state, "arming an attachment that was detached");
    }
    const auto pinned = Pinned::here();
    if (!pinned) {
        return pinned.error();
    }
    const auto armed = arm_vcpu(pinned->cpu());
    if (!armed) {
        return armed.error();
    }
    return agrees(*armed, pinned->cpu());
}

CallResult Attachment::arm_and_call(std::uint64_t a0, std::uint64_t a1, std::uint64_t a2,
                                    std::uint64_t a3) const noexcept
{
    // A thread that may run anywhere can be on the next such vCPU by the time it calls.
    constexpr int tries = 4;
    CallResult result{.status = -ELISA_E_DEAD, .value = 0};
    for (int i = 0; i < tries && result.status == -ELISA_E_DEAD && arm_here(); ++i) {
        result = call(a0, a1, a2, a3);
    }
    return result;
}

Result<void> Attachment::detach()
{
    if (!session_) {
        return {};
    }
    return session_->detach();
}

Result<AttachmentStats> Attachment::stats() const
{
    if (!session_ || !session_->live()) {
        return make_error(Errc::state, "counters of an attachment that was detached");
    }
    const auto regs =
        doorbell::call(ELISA_CALL_STATS, {.rbx = *session_->handle},
                       "reading the counters of export '" + session_->export_name + "'");
    if (!regs) {
        return regs.error();
    }
    return AttachmentStats{regs->rbx, regs->rsi, regs->rdi, regs->r8};
}

Result<AbortInfo> Attachment::abort_info() const
{
    if (!session_ || !session_->live()) {
        return make_error(Errc::state, "abort information of an attachment that was detached");
    }
    const auto regs =
        doorbell::call(ELISA_CALL_ABORT_INFO, {.rbx = *session_->handle},
                       "asking for the last abort of export '" + session_->export_name + "'");
    if (!regs) {
        return regs.error();
    }
    return AbortInfo{regs->rbx, regs->rsi, regs->rdi, regs->r8};
}

} // namespace elisa
