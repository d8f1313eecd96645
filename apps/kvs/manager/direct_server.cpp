// SPDX-License-Identifier: Apache-2.0
#include "direct_server.hpp"

#include "../client/src/direct_proto.hpp"
#include "listen_unix.hpp"
#include "service.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <vector>

namespace kvs {

using elisa::Errc;
using elisa::errno_error;
using elisa::make_error;
using elisa::Result;
using elisa::UniqueFd;

Result<std::unique_ptr<DirectServer>> DirectServer::create(const std::string &path,
                                                           const Guests &guests)
{
    std::unique_ptr<DirectServer> server{new DirectServer{guests}};
    server->bytes_ = Store::footprint(guests.layout());
    server->memory_ = UniqueFd{::memfd_create("kvs", MFD_CLOEXEC)};
    if (!server->memory_ ||
        ::ftruncate(server->memory_.get(), static_cast<off_t>(server->bytes_)) != 0) {
        return errno_error(errno, "cannot make the store's memory");
    }
    void *const at = ::mmap(nullptr, server->bytes_, PROT_READ | PROT_WRITE, MAP_SHARED,
                            server->memory_.get(), 0);
    if (at == MAP_FAILED) {
        return errno_error(errno, "cannot map the store's memory");
    }
    server->at_ = at;
    server->store_ = Store::create(at, server->bytes_, guests.layout());
    if (server->store_ == nullptr) {
        return make_error(Errc::invalid, "the store cannot be laid out");
    }

    // Who can connect can read and write everything.
    auto listener = apps::listen_unix(path, SOCK_SEQPACKET, apps::Access::owner);
    if (!listener) {
        return std::move(listener).error();
    }
    server->listener_ = std::move(*listener);
    server->path_ = path;
    return server;
}

DirectServer::~DirectServer()
{
    if (!path_.empty()) {
        ::unlink(path_.c_str());
    }
    if (at_ != nullptr) {
        ::munmap(at_, bytes_);
    }
}

void DirectServer::run(const std::atomic<bool> &stop)
{
    std::vector<pollfd> fds;
    while (!stop.load(std::memory_order_relaxed)) {
        fds.assign(1, {.fd = listener_.get(), .events = POLLIN, .revents = 0});
        for (const Connection &connection : connections_) {
            fds.push_back({.fd = connection.socket.get(), .events = POLLIN, .revents = 0});
        }
        ::poll(fds.data(), fds.size(), 50);
        store_->tick(now_ms());
        auto connection = connections_.begin();
        for (std::size_t i = 1; i < fds.size(); ++i) {
            if (fds[i].revents != 0 && !serve(*connection)) {
                // The process has ended, or closed it: it is not inside.
                if (connection->port) {
                    store_->port_close(*connection->port);
                }
                connection = connections_.erase(connection);
            } else {
                ++connection;
            }
        }
        if (fds[0].revents != 0) {
            accept();
        }
    }
}

void DirectServer::accept()
{
    for (;;) {
        UniqueFd socket{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!socket) {
            return;
        }
        connections_.push_back({std::move(socket), std::nullopt});
    }
}

bool DirectServer::serve(Connection &connection)
{
    direct::Hello hello;
    const ssize_t got = ::recv(connection.socket.get(), &hello, sizeof hello, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (got != sizeof hello || hello.kind != direct::magic || connection.port) {
        return false;
    }
    hello.label[sizeof(hello.label) - 1] = '\0';
    direct::Welcome welcome;
    auto port = guests_.port(hello.label, hello.instance);
    if (port && store_->port_open(*port) != Error::none) {
        port = make_error(Errc::exists, "this session of it is connected already");
    }
    if (port) {
        connection.port = *port;
        welcome.port = static_cast<std::uint32_t>(*port);
        welcome.bytes = bytes_;
    } else {
        port.error().message.copy(welcome.refused, sizeof(welcome.refused) - 1);
    }
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    iovec data{&welcome, sizeof welcome};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (port) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr *const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        const int fd = memory_.get();
        std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    return ::sendmsg(connection.socket.get(), &message, MSG_NOSIGNAL) == sizeof welcome;
}

} // namespace kvs
