// SPDX-License-Identifier: Apache-2.0
#include "tap.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

namespace uplink {

using elisa::Result;

namespace {

constexpr std::size_t longest_frame = 65535 + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;

elisa::Error cannot_make(const std::string &name, int error)
{
    auto failed = elisa::errno_error(error, "the interface " + name + " cannot be made");
    if (error == EPERM) {
        failed.message += " (needs CAP_NET_ADMIN)";
    } else if (error == EBUSY) {
        failed.message += " (another program has it open)";
    } else if (error == EINVAL) {
        failed.message += " (there is one of that name that is no single-queue TAP interface)";
    }
    return failed;
}

} // namespace

Result<std::unique_ptr<Tap>> Tap::open(std::string name, rte_mempool &pool, bool offloads)
{
    auto interface = Interface::named(name);
    if (!interface) {
        return interface.error();
    }
    elisa::UniqueFd fd{::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)};
    if (!fd) {
        auto failed = elisa::errno_error(errno, "/dev/net/tun");
        failed.message += " (the kernel's TUN/TAP driver: modprobe tun)";
        return failed;
    }
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
        return cannot_make(name, errno);
    }
    const int header = sizeof(VnetHeader);
    const unsigned long taken = offloads ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0;
    if (::ioctl(fd.get(), TUNSETVNETHDRSZ, &header) != 0 ||
        ::ioctl(fd.get(), TUNSETOFFLOAD, taken) != 0) {
        return elisa::errno_error(errno, "offloads of interface " + name);
    }
    return std::unique_ptr<Tap>{
        new Tap{"tap", std::move(*interface), std::move(fd), pool, longest_frame}};
}

ssize_t Tap::read(std::span<iovec> pieces, Note &)
{
    return ::readv(fd(), pieces.data(), static_cast<int>(pieces.size()));
}

Result<bool> Tap::link()
{
    // Fails when somebody has deleted it.
    ifreq request{};
    if (::ioctl(fd(), TUNGETIFF, &request) != 0) {
        return elisa::errno_error(errno, "the interface " + interface_.name() + " has gone");
    }
    const auto state = interface_.state();
    if (!state) {
        return state.error();
    }
    return state->up;
}

Result<void> Tap::hold_down(bool down)
{
    const int carrier = down ? 0 : 1;
    if (::ioctl(fd(), TUNSETCARRIER, &carrier) != 0) {
        return elisa::errno_error(errno, "carrier of interface " + interface_.name());
    }
    return {};
}

} // namespace uplink
