// SPDX-License-Identifier: Apache-2.0
// Without VMs: the store's memory is mapped here, and called as a function.
#include "direct_proto.hpp"
#include "elisa/unique_fd.hpp"
#include "kvs/client.hpp"
#include "kvs/store.hpp"
#include "session.hpp"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace kvs {
namespace {

using elisa::Errc;
using elisa::Result;
using elisa::UniqueFd;

class Mapping {
  public:
    Mapping(std::size_t size, int fd)
        : at_{::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                     fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0)},
          size_{size}
    {
    }
    ~Mapping()
    {
        if (*this) {
            ::munmap(at_, size_);
        }
    }
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;
    explicit operator bool() const { return at_ != MAP_FAILED; }
    [[nodiscard]] void *at() const { return at_; }
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    void *at_;
    std::size_t size_;
};

class DirectSession final : public detail::Session {
  public:
    DirectSession(UniqueFd socket, const direct::Welcome &welcome, int fd)
        : socket_{std::move(socket)}, shared_{welcome.bytes, fd}, own_{memory_size, -1},
          port_{PortId{welcome.port}}, store_{shared_ ? Store::open(shared_.at(), shared_.size())
                                                      : nullptr}
    {
    }
    [[nodiscard]] bool sound() const
    {
        return own_ && store_ != nullptr &&
               store_->region_add(port_, 0, reinterpret_cast<std::uintptr_t>(own_.at()),
                                  memory_size) == Error::none;
    }

    Result<std::int64_t> call(std::uint64_t op, kvs_addr_t request) override
    {
        return store_->call(port_, op, request, 0);
    }
    std::byte *memory() noexcept override { return static_cast<std::byte *>(own_.at()); }
    std::uint64_t region() const noexcept override { return 0; }

  private:
    UniqueFd socket_;
    Mapping shared_;
    Mapping own_;
    PortId port_;
    Store *store_;
};

Result<UniqueFd> dial(const std::string &path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        return elisa::make_error(Errc::invalid, "the path of the socket is too long: " + path);
    }
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr *>(&address),
                             sizeof(address)) != 0) {
        return elisa::errno_error(errno, "nobody answers at " + path +
                                             " (is `kvs manager --backend direct` running?)");
    }
    return socket;
}

Result<UniqueFd> receive(int socket, direct::Welcome &welcome)
{
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    iovec data{&welcome, sizeof welcome};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != sizeof welcome ||
        welcome.kind != direct::magic) {
        return elisa::make_error(Errc::inconsistent, "the manager does not speak this protocol");
    }
    const cmsghdr *const header = CMSG_FIRSTHDR(&message);
    UniqueFd fd;
    if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(header), sizeof number);
        fd = UniqueFd{number};
    }
    welcome.refused[sizeof(welcome.refused) - 1] = '\0';
    if (welcome.refused[0] != '\0') {
        return elisa::make_error(Errc::refused, std::string{"the manager: "} + welcome.refused);
    }
    return fd;
}

} // namespace

Result<Client> Client::connect(const ConnectOptions &options)
{
    auto socket = dial(options.socket);
    if (!socket) {
        return socket.error();
    }
    direct::Hello hello;
    hello.instance = options.instance;
    if (options.label.size() >= sizeof(hello.label)) {
        return elisa::make_error(Errc::invalid, "a label has at most 31 characters");
    }
    options.label.copy(hello.label, sizeof(hello.label) - 1);
    direct::Welcome welcome;
    if (::send(socket->get(), &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello) {
        return elisa::errno_error(errno, "the manager does not listen");
    }
    auto fd = receive(socket->get(), welcome);
    if (!fd) {
        return fd.error();
    }
    auto session = std::make_unique<DirectSession>(std::move(*socket), welcome, fd->get());
    if (!session->sound()) {
        return elisa::make_error(Errc::no_memory, "the store cannot be mapped");
    }
    Client client{std::move(session)};
    if (auto answered = client.check_in(); !answered) {
        return answered.error();
    }
    return client;
}

} // namespace kvs
