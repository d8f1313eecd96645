// SPDX-License-Identifier: Apache-2.0
#include "interface.hpp"

#include <cerrno>
#include <cstring>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace uplink {

using elisa::Result;

Result<Interface> Interface::named(std::string name)
{
    if (name.empty() || name.size() >= IFNAMSIZ) {
        return elisa::make_error(elisa::Errc::invalid,
                                 "'" + name + "' is no name of an interface: want 1 to 15 bytes");
    }
    elisa::UniqueFd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!socket) {
        return elisa::errno_error(errno, "socket");
    }
    return Interface{std::move(name), std::move(socket)};
}

Result<void> Interface::control(unsigned long request, ifreq &arg, const char *what) const
{
    std::strncpy(arg.ifr_name, name_.c_str(), IFNAMSIZ - 1);
    if (::ioctl(socket_.get(), request, &arg) == 0) {
        return {};
    }
    const int error = errno;
    auto failed = elisa::errno_error(error, "interface " + name_ + ": " + what);
    if (error == ENODEV) {
        failed.message += " (is it in this network namespace? see 'ip link')";
    } else if (error == EPERM) {
        failed.message += " (needs CAP_NET_ADMIN)";
    }
    return failed;
}

Result<int> Interface::index() const
{
    ifreq arg{};
    if (auto found = control(SIOCGIFINDEX, arg, "find it"); !found) {
        return found.error();
    }
    return arg.ifr_ifindex;
}

Result<Settings> Interface::settings() const
{
    Settings found;
    ifreq arg{};
    if (auto done = control(SIOCGIFHWADDR, arg, "read its address"); !done) {
        return done.error();
    }
    if (arg.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
        return elisa::make_error(elisa::Errc::invalid,
                                 "interface " + name_ + " is not an Ethernet interface");
    }
    std::memcpy(found.mac.addr_bytes, arg.ifr_hwaddr.sa_data, RTE_ETHER_ADDR_LEN);
    if (auto done = control(SIOCGIFMTU, arg, "read its MTU"); !done) {
        return done.error();
    }
    found.mtu = static_cast<std::uint16_t>(arg.ifr_mtu > UINT16_MAX ? UINT16_MAX : arg.ifr_mtu);
    if (auto done = control(SIOCGIFFLAGS, arg, "read its flags"); !done) {
        return done.error();
    }
    found.promiscuous = (arg.ifr_flags & IFF_PROMISC) != 0;
    // The kernel filters groups itself.
    found.allmulticast = (arg.ifr_flags & (IFF_ALLMULTI | IFF_MULTICAST)) != 0;
    return found;
}

Result<void> Interface::set_mac(const rte_ether_addr &mac)
{
    ifreq arg{};
    arg.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(arg.ifr_hwaddr.sa_data, mac.addr_bytes, RTE_ETHER_ADDR_LEN);
    return control(SIOCSIFHWADDR, arg, "set its address");
}

Result<void> Interface::set_mtu(std::uint16_t mtu)
{
    ifreq arg{};
    arg.ifr_mtu = mtu;
    return control(SIOCSIFMTU, arg, "set its MTU");
}

Result<Interface::State> Interface::state() const
{
    ifreq arg{};
    if (auto done = control(SIOCGIFFLAGS, arg, "read its flags"); !done) {
        return done.error();
    }
    return State{.up = (arg.ifr_flags & IFF_UP) != 0,
                 .running = (arg.ifr_flags & IFF_RUNNING) != 0};
}

Result<void> Interface::set_up(bool up)
{
    ifreq arg{};
    if (auto done = control(SIOCGIFFLAGS, arg, "read its flags"); !done) {
        return done;
    }
    const int flags = up ? arg.ifr_flags | IFF_UP : arg.ifr_flags & ~IFF_UP;
    arg.ifr_flags = static_cast<short>(flags);
    return control(SIOCSIFFLAGS, arg, up ? "set it up" : "set it down");
}

} // namespace uplink
