// SPDX-License-Identifier: Apache-2.0
#include "listen_unix.hpp"

#include <cerrno>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace apps {
namespace {

using elisa::Errc;
using elisa::errno_error;
using elisa::make_error;
using elisa::Result;
using elisa::UniqueFd;

UniqueFd unix_socket(int type)
{
    return UniqueFd{::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
}

Result<void> remove_stale(const std::string &path, const sockaddr_un &address, int type)
{
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) {
        return {}; // if for another reason than that nothing is there, bind() says so
    }
    if (!S_ISSOCK(st.st_mode)) {
        return make_error(Errc::busy,
                          path + " is there and is no socket: remove it, or choose another path");
    }
    // Not blocking: who listens there may hang.
    const UniqueFd probe = unix_socket(type);
    const bool answers =
        ::connect(probe.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) == 0;
    // Full up, or of the other type: somebody has it all the same.
    if (answers || errno == EAGAIN || errno == EPROTOTYPE) {
        return make_error(Errc::busy,
                          path + " is in use: stop the program that listens there, or choose "
                                 "another path");
    }
    if (errno != ECONNREFUSED) {
        return errno_error(errno,
                           "cannot see whether " + path +
                               " is in use (remove it if it is not, or choose another path)");
    }
    if (::unlink(path.c_str()) != 0) {
        return errno_error(errno, "cannot remove " + path + ", where nobody listens any more");
    }
    return {};
}

} // namespace

Result<UniqueFd> listen_unix(const std::string &path, int type, Access access)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        return make_error(Errc::invalid, "the path of the socket is too long: " + path);
    }
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (auto removed = remove_stale(path, address, type); !removed) {
        return std::move(removed).error();
    }
    UniqueFd socket = unix_socket(type);
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) != 0) {
        return errno_error(errno, "cannot listen at " + path);
    }
    // Nobody can connect before listen().
    if ((access == Access::owner && ::chmod(path.c_str(), 0600) != 0) ||
        ::listen(socket.get(), SOMAXCONN) != 0) {
        const int error = errno;
        ::unlink(path.c_str());
        return errno_error(error, "cannot listen at " + path);
    }
    return socket;
}

} // namespace apps
