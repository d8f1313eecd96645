// SPDX-License-Identifier: Apache-2.0
#include "direct_server.hpp"

int main(int argc, char **argv)
{
    return vmnet::direct_main(argc, argv);
}
