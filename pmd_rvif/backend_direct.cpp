// SPDX-License-Identifier: Apache-2.0
// Direct mapping: the switch's memory and everybody's packet memory are mapped into this process,
// and the switch is a function. A control thread keeps the mappings as the manager says; the data
// path does not know about it.
#include "backend.hpp"
#include "devargs.hpp"
#include "direct_proto.hpp"
#include "port.hpp"
#include "rvs/switch.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <rte_lcore.h>
#include <sys/resource.h>
#include <sys/un.h>

namespace rvif {
namespace {

using direct::Fd;
using direct::Kind;
using direct::Message;
using direct::Received;

constexpr std::chrono::seconds answer_timeout{15};

void *at(std::uint64_t address)
{
    return reinterpret_cast<void *>(address);
}

bool in_window(std::uint64_t address, std::uint64_t length)
{
    return address >= ELISA_WINDOW_VA && length <= ELISA_WINDOW_SIZE &&
           address - ELISA_WINDOW_VA <= ELISA_WINDOW_SIZE - length;
}

std::string with_errno(const std::string &what, int error)
{
    return what + ": " + std::strerror(error);
}

// Memory to be written to in vain, put over [address, address + length) in one step: a call that is
// under way there sees either the old or the new. Not locked, hence not populated, even if the
// application has asked for that (mlockall).
bool cover_with_scratch(std::uint64_t address, std::uint64_t length)
{
    void *scratch =
        ::mmap(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (scratch == MAP_FAILED) {
        return false;
    }
    ::munlock(scratch, length);
    if (::mprotect(scratch, length, PROT_READ | PROT_WRITE) != 0 ||
        ::mremap(scratch, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, at(address)) ==
            MAP_FAILED) {
        ::munmap(scratch, length);
        return false;
    }
    return true;
}

// One connection, however many ports the process has: their memory is the same.
class Session {
  public:
    static std::shared_ptr<Session> join(const std::string &path, std::string &why);
    ~Session();

    [[nodiscard]] rvs::Switch &rvs() const { return *switch_; }
    [[nodiscard]] bool manager_alive() const { return connected_.load(std::memory_order_relaxed); }

    // False: this process was stopped for so long that others went on without it; its mappings are
    // not up to date.
    [[nodiscard]] bool up_to_date() const noexcept
    {
        return board_->published.load(std::memory_order_acquire) <=
               mapped_.load(std::memory_order_acquire);
    }
    // Gives the control thread time to see to it.
    [[nodiscard]] bool catch_up() const noexcept
    {
        for (int i = 0; i < 1000 && !up_to_date(); ++i) {
            ::usleep(1000);
        }
        return up_to_date();
    }
    // One request and its answer. False: `why`.
    bool ask(Message message, std::span<const int> fds, Message &answer, std::string &why);
    int share_memory(std::span<const Segment> segments, std::string &why);
    void unshare_memory(int index);

  private:
    bool connect(const std::string &path, std::string &why);
    bool map_switch(Received &welcome, std::string &why);
    bool handle(Received &received);
    bool map_region(Received &received);
    void listen();

    std::string path_;
    Fd socket_;
    bool reserved_ = false;
    rvs::Switch *switch_ = nullptr;
    pthread_t control_{};
    bool controlled_ = false;
    std::atomic<bool> leaving_ = false;
    std::atomic<bool> connected_ = false;
    // What the manager has published, and what of it is mapped here: see direct::Board.
    const direct::Board *board_ = nullptr;
    std::atomic<std::uint64_t> mapped_ = 0;
    std::uint64_t map_filled_ = 0; // bytes of a mapping whose segments come in several messages

    std::mutex send_; // one request at a time
    std::mutex mutex_;
    std::condition_variable answered_;
    std::uint64_t sequence_ = 0;
    bool waiting_ = false;
    bool have_answer_ = false;
    Message answer_;

    struct Shared {
        std::vector<Segment> segments;
        int users;
    };
    std::mutex share_;
    std::map<int, Shared> shared_;
};

std::mutex current_mutex;
std::weak_ptr<Session> current;

std::shared_ptr<Session> Session::join(const std::string &path, std::string &why)
{
    const std::lock_guard lock{current_mutex};
    if (std::shared_ptr<Session> session = current.lock(); session != nullptr) {
        if (session->path_ == path) {
            return session;
        }
        why = "this process is attached to the switch at " + session->path_ +
              ": the switch has one address, use one socket= for all ports of a process";
        return nullptr;
    }
    auto session = std::make_shared<Session>();
    if (!session->connect(path, why)) {
        return nullptr;
    }
    current = session;
    return session;
}

bool Session::connect(const std::string &path, std::string &why)
{
    path_ = path;
    // Every hugepage of everybody is a file.
    if (rlimit files{};
        ::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
    socket_ = Fd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    if (!socket_) {
        why = with_errno("cannot make a Unix socket", errno);
        return false;
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) !=
        0) {
        why = with_errno("cannot reach the manager at " + path, errno) +
              "; start it first: vmnet --backend direct --socket " + path;
        return false;
    }
    // The whole slot, so that nobody else's mmap lands where a region will come.
    if (::mmap(at(ELISA_SLOT_BASE), ELISA_SLOT_SIZE, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
               0) != at(ELISA_SLOT_BASE)) {
        why =
            with_errno("the addresses of the switch (0x300000000000 on) are taken in this process",
                       errno) +
            "; try EAL's --base-virtaddr=0x100000000";
        return false;
    }
    reserved_ = true;
    // It stays without access: applications that mlockall(), testpmd for one, would have all of it
    // populated.

    Message hello;
    hello.kind = Kind::hello;
    hello.argument[0] = static_cast<std::uint64_t>(::getpid());
    hello.say(program_invocation_short_name);
    const timeval limit{.tv_sec = answer_timeout.count(), .tv_usec = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    Received received;
    if (const int error = direct::send(socket_.get(), hello); error != 0) {
        why = with_errno("the manager at " + path + " does not listen", error);
        return false;
    }
    if (direct::receive(socket_.get(), received) != direct::Receive::message) {
        why = "no answer from " + path +
              ": is that the socket of vmnet --backend direct, of the same release?";
        return false;
    }
    if (received.message.kind != Kind::welcome) {
        why = "the manager at " + path + " refuses: " + received.message.text;
        return false;
    }
    if (!map_switch(received, why)) {
        return false;
    }
    const timeval none{};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
    connected_ = true;
    // Not on the CPUs that poll.
    const auto body = [](void *self) -> void * {
        static_cast<Session *>(self)->listen();
        return nullptr;
    };
    if (const int error = rte_ctrl_thread_create(&control_, "rvif-direct", nullptr, body, this);
        error != 0) {
        why = with_errno("cannot start a thread", -error);
        return false;
    }
    controlled_ = true;
    return true;
}

bool Session::map_switch(Received &welcome, std::string &why)
{
    const std::uint64_t bytes = welcome.message.argument[0];
    if (welcome.fd_count != 1 || bytes <= direct::board_bytes || bytes > ELISA_OBJECT_MAX) {
        why = "the manager sends no switch: bring manager and driver to the same release";
        return false;
    }
    if (::mmap(at(ELISA_OBJECT_VA), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
               welcome.fds[0].get(), 0) == MAP_FAILED) {
        why = with_errno("cannot map the switch", errno);
        return false;
    }
    switch_ = rvs::Switch::open(at(ELISA_OBJECT_VA), bytes - direct::board_bytes);
    board_ = static_cast<const direct::Board *>(at(ELISA_OBJECT_VA + bytes - direct::board_bytes));
    mapped_ = welcome.message.argument[1];
    if (switch_ == nullptr) {
        why = "the switch has another layout: bring manager and driver to the same release";
        return false;
    }
    return true;
}

Session::~Session()
{
    leaving_ = true;
    if (controlled_) {
        ::shutdown(socket_.get(), SHUT_RDWR);
        ::pthread_join(control_, nullptr);
    }
    socket_ = Fd{}; // the manager takes the ports back
    if (reserved_) {
        ::munmap(at(ELISA_SLOT_BASE), ELISA_SLOT_SIZE);
    }
}

void Session::listen()
{
    Received received;
    while (direct::receive(socket_.get(), received) == direct::Receive::message &&
           handle(received)) {
    }
    connected_ = false;
    {
        const std::lock_guard lock{mutex_};
        answered_.notify_all();
    }
    if (!leaving_) {
        // The switch itself needs no manager.
        RVIF_LOG(WARNING,
                 "the manager at %s has gone: frames go on among those who are attached, nobody "
                 "can join\n",
                 path_.c_str());
    }
}

bool Session::handle(Received &received)
{
    const Message &message = received.message;
    switch (message.kind) {
    case Kind::done:
    case Kind::failed: {
        const std::lock_guard lock{mutex_};
        if (waiting_ && message.sequence == sequence_) {
            answer_ = message;
            have_answer_ = true;
            answered_.notify_all();
        }
        return true;
    }
    case Kind::map:
        return map_region(received);
    case Kind::unmap: {
        // Somebody's call may be under way in it, even one of ours: put scratch memory there rather
        // than nothing.
        if (!in_window(message.argument[1], message.argument[2])) {
            return false;
        }
        if (!cover_with_scratch(message.argument[1], message.argument[2])) {
            RVIF_LOG(ERR, "cannot unmap the packet memory of a peer: %s\n", std::strerror(errno));
            return false;
        }
        Message ack;
        ack.kind = Kind::ack;
        ack.argument = {message.argument[0], 1, 0, 0};
        return direct::send(socket_.get(), ack) == 0;
    }
    default:
        return false;
    }
}

bool Session::map_region(Received &received)
{
    const Message &message = received.message;
    const std::uint64_t address = message.argument[1];
    const std::uint64_t length = message.argument[2];
    if (message.segments != received.fd_count || !in_window(address, length)) {
        return false;
    }
    for (std::size_t i = 0; i < message.segments; ++i) {
        const direct::FileSegment &segment = message.segment[i];
        if (segment.length > length - map_filled_) {
            return false;
        }
        if (::mmap(at(address + map_filled_), segment.length, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_FIXED, received.fds[i].get(),
                   static_cast<off_t>(segment.fd_offset)) == MAP_FAILED) {
            RVIF_LOG(ERR, "cannot map the packet memory of a peer: %s\n", std::strerror(errno));
            return false; // hanging up is the only honest answer
        }
        map_filled_ += segment.length;
    }
    if (message.argument[3] != 0) {
        return true;
    }
    map_filled_ = 0;
    mapped_.store(std::max(mapped_.load(), message.argument[0]), std::memory_order_release);
    Message ack;
    ack.kind = Kind::ack;
    ack.argument[0] = message.argument[0];
    return direct::send(socket_.get(), ack) == 0;
}

bool Session::ask(Message message, std::span<const int> fds, Message &answer, std::string &why)
{
    const std::lock_guard one{send_};
    std::unique_lock lock{mutex_};
    message.sequence = ++sequence_;
    waiting_ = true;
    have_answer_ = false;
    lock.unlock();
    const int error = direct::send(socket_.get(), message, fds);
    lock.lock();
    if (error == 0) {
        answered_.wait_for(lock, answer_timeout, [&] { return have_answer_ || !connected_; });
    }
    waiting_ = false;
    if (have_answer_ && answer_.kind == Kind::done) {
        answer = answer_;
        return true;
    }
    if (have_answer_) {
        why = std::string{"the manager refuses: "} + answer_.text;
    } else if (!connected_ || error != 0) {
        why = "the manager at " + path_ + " has gone: start it again, then this process";
    } else {
        why = "no answer from the manager at " + path_ + " within " +
              std::to_string(answer_timeout.count()) + " s";
    }
    return false;
}

int Session::share_memory(std::span<const Segment> segments, std::string &why)
{
    const std::lock_guard lock{share_};
    for (auto &[index, shared] : shared_) {
        if (std::ranges::equal(shared.segments, segments)) {
            ++shared.users;
            return index;
        }
    }
    if (std::ranges::any_of(segments, [](const Segment &segment) { return segment.fd < 0; })) {
        why = "EAL's memory has no file behind it that could be shared: run with --in-memory, "
              "--no-huge, or without "
              "--legacy-mem";
        return -1;
    }
    Message answer;
    for (std::size_t from = 0; from < segments.size(); from += direct::segments_per_message) {
        const auto part =
            segments.subspan(from, std::min(direct::segments_per_message, segments.size() - from));
        Message message;
        message.kind = Kind::region_add;
        message.argument[0] = from + part.size() < segments.size() ? 1 : 0;
        message.segments = static_cast<std::uint32_t>(part.size());
        std::array<int, direct::segments_per_message> fds{};
        for (std::size_t i = 0; i < part.size(); ++i) {
            message.segment[i] = {.length = part[i].length, .fd_offset = part[i].fd_offset};
            fds[i] = part[i].fd;
        }
        if (!ask(message, std::span{fds}.first(part.size()), answer, why)) {
            return -1;
        }
    }
    const int index = static_cast<int>(answer.argument[0]);
    shared_[index] = {.segments = {segments.begin(), segments.end()}, .users = 1};
    return index;
}

void Session::unshare_memory(int index)
{
    const std::lock_guard lock{share_};
    const auto found = shared_.find(index);
    if (found == shared_.end() || --found->second.users > 0) {
        return;
    }
    shared_.erase(found);
    Message message;
    message.kind = Kind::region_remove;
    message.argument[0] = static_cast<std::uint64_t>(index);
    std::string why;
    if (!ask(message, {}, message, why) && manager_alive()) {
        RVIF_LOG(WARNING, "memory stays shared: %s\n", why.c_str());
    }
}

class DirectBackend final : public Backend {
  public:
    DirectBackend(std::shared_ptr<Session> session, rvs::PortId port)
        : session_{std::move(session)}, switch_{&session_->rvs()}, port_{port}
    {
    }

    ~DirectBackend() override
    {
        Message message;
        message.kind = Kind::port_close;
        message.argument[0] = static_cast<std::uint64_t>(port_);
        std::string why;
        session_->ask(message, {}, message, why); // if not, closing the socket does it
    }

    int add_region(std::span<const Segment> segments, std::string &why) override
    {
        return session_->share_memory(segments, why);
    }

    void remove_region(int index) override { session_->unshare_memory(index); }

    CallResult call(std::uint64_t op, std::uint64_t a1, std::uint64_t a2,
                    std::uint64_t a3) noexcept override
    {
        if (!session_->up_to_date() && !session_->catch_up()) [[unlikely]] {
            return {.status = 0, .value = -RVIF_E_BUSY};
        }
        return {.status = 0, .value = switch_->call(port_, op, a1, a2, a3)};
    }

    [[nodiscard]] bool alive() const noexcept override { return true; }
    [[nodiscard]] std::string explain(std::int64_t status) const override
    {
        return std::to_string(status);
    }

  private:
    std::shared_ptr<Session> session_;
    rvs::Switch *switch_;
    rvs::PortId port_;
};

} // namespace

std::unique_ptr<Backend> attach_direct(const Config &config, std::string &why)
{
    std::shared_ptr<Session> session = Session::join(config.socket, why);
    if (session == nullptr) {
        return nullptr;
    }
    Message message;
    message.kind = Kind::port_open;
    message.say(config.label.empty() ? config.device : config.label);
    if (!session->ask(message, {}, message, why)) {
        return nullptr;
    }
    return std::make_unique<DirectBackend>(std::move(session),
                                           static_cast<rvs::PortId>(message.argument[0]));
}

} // namespace rvif
