// SPDX-License-Identifier: Apache-2.0
// Direct backend: what a driver process and the manager say to each other on a Unix seqpacket
// socket.
//
//   driver                            manager
//   hello                    ->
//                            <-       welcome        + the switch's memory (fd)
//                            <-       map ...        every region that others have, + its files
//   ack ...                  ->
//   port_open                ->
//                            <-       done(port)     once all of them are acknowledged
//   region_add + files       ->
//                            <-       map            to every driver, the owner too
//   ack                      ->                      from every driver
//                            <-       done(index, length)
//   region_remove, port_close  likewise, with unmap
//
// Everything is mapped at the same address in every process: the switch at ELISA_OBJECT_VA, region
// memory in the window. A driver that goes away closes its socket; that is all the manager needs to
// take back what it had. One that is stopped (SIGSTOP, a debugger) is not waited for; it catches up
// before its next call. There is no isolation here: each process maps everybody's packet memory.
#pragma once

#include "elisa_abi.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

namespace rvif::direct {

inline constexpr std::uint32_t magic = 0x31445652; // "RVD1"
inline constexpr std::size_t segments_per_message = 32;

enum class Kind : std::uint32_t {
    // from a driver; each is answered by done or failed with the same sequence number
    hello = 1,     // text: name of the process
    port_open,     // -> argument[0] port
    port_close,    // argument[0] port
    region_add,    // segments; argument[0] 1: more of them follow -> argument[0] index in rvif
                   // addresses
    region_remove, // argument[0] index
    ack,           // argument[0] mapping, [1] 0: mapped, 1: unmapped; not answered
    // from the manager
    welcome, // argument[0] bytes of the switch and the board behind it, [1] mappings up to this are
             // not yours; + fd
    done,
    failed, // text: why
    map,    // argument[0] mapping, [1] address, [2] length, [3] 1: more of its segments follow;
            // segments
    unmap,  // argument[0] mapping, [1] address, [2] length
};

// Lies behind the switch in the same memory, in a page of its own. Mappings are numbered upwards.
// Normally a mapping is published when everybody has acknowledged it; a process that was stopped
// meanwhile finds here that it has to catch up before it calls the switch again.
struct Board {
    std::atomic<std::uint64_t> published;
};
inline constexpr std::size_t board_bytes = 4096;

struct FileSegment {
    std::uint64_t length;
    std::uint64_t fd_offset;
};

struct Message {
    std::uint32_t magic = direct::magic;
    Kind kind{};
    std::uint64_t sequence = 0;
    std::array<std::uint64_t, 4> argument{};
    char text[128] = {};
    std::uint32_t segments = 0; // that many files come along
    std::uint32_t reserved = 0;
    std::array<FileSegment, segments_per_message> segment{};

    void say(std::string_view what)
    {
        const std::size_t n = what.copy(text, sizeof(text) - 1);
        text[n] = '\0';
    }
};
static_assert(sizeof(Message) == 16 + 32 + 128 + 8 + 512);

class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_{fd} {}
    Fd(Fd &&other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    Fd &operator=(Fd &&other) noexcept
    {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Fd(const Fd &) = delete;
    Fd &operator=(const Fd &) = delete;
    ~Fd()
    {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    [[nodiscard]] int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

struct Received {
    Message message;
    std::array<Fd, segments_per_message> fds;
    std::size_t fd_count = 0;
};

// 0 or an errno.
inline int send(int socket, const Message &message, std::span<const int> fds = {}, int flags = 0)
{
    iovec iov{.iov_base = const_cast<Message *>(&message), .iov_len = sizeof(message)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * segments_per_message)] = {};
    msghdr header{};
    header.msg_iov = &iov;
    header.msg_iovlen = 1;
    if (!fds.empty()) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(cmsg), fds.data(), fds.size_bytes());
    }
    for (;;) {
        const ssize_t sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | flags);
        if (sent == static_cast<ssize_t>(sizeof(message))) {
            return 0;
        }
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        return sent < 0 ? errno : EMSGSIZE;
    }
}

enum class Receive { message, nothing, closed, garbage };

inline Receive receive(int socket, Received &out, int flags = 0)
{
    iovec iov{.iov_base = &out.message, .iov_len = sizeof(out.message)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * segments_per_message)] = {};
    msghdr header{};
    header.msg_iov = &iov;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    ssize_t got = 0;
    do {
        got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC | flags);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? Receive::nothing : Receive::closed;
    }
    out.fd_count = 0;
    for (cmsghdr *cmsg = CMSG_FIRSTHDR(&header); cmsg != nullptr;
         cmsg = CMSG_NXTHDR(&header, cmsg)) {
        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
            const std::size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t i = 0; i < count && out.fd_count < segments_per_message; ++i) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
                out.fds[out.fd_count++] = Fd{fd};
            }
        }
    }
    if (got == 0) {
        return Receive::closed;
    }
    if (got != static_cast<ssize_t>(sizeof(out.message)) ||
        (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || out.message.magic != magic ||
        out.message.segments > segments_per_message) {
        return Receive::garbage;
    }
    out.message.text[sizeof(out.message.text) - 1] = '\0';
    return Receive::message;
}

} // namespace rvif::direct
