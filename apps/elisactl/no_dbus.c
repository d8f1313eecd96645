/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elisactl is static, and takes libpcap for its filters only. libpcap's table of capture devices would
 * bring in those of D-Bus, and that libsystemd, which there is no static one of. These two stand in their place:
 * "not a device of mine", "I know of none".
 */
#include <stddef.h>

void *dbus_create(const char *device, char *error, int *is_ours);
int dbus_findalldevs(void *list, char *error);

void *dbus_create(const char *device, char *error, int *is_ours)
{
	(void)device;
	(void)error;
	*is_ours = 0;
	return NULL;
}

int dbus_findalldevs(void *list, char *error)
{
	(void)list;
	(void)error;
	return 0;
}
