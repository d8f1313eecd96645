// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/device_memory: 2 MiB that a process maps as it maps a device's BAR by VFIO, by page frame numbers (VM_PFNMAP).
 * For a QEMU to give its guest: nobody may pin that. The first 8 bytes say ELISADEV.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>

#define LENGTH (2ul << 20)

static void *memory;

static int map(struct file *file, struct vm_area_struct *vma)
{
	unsigned long length = vma->vm_end - vma->vm_start;

	if (vma->vm_pgoff || length > LENGTH)
		return -EINVAL;
	return remap_pfn_range(vma, vma->vm_start, virt_to_phys(memory) >> PAGE_SHIFT, length, vma->vm_page_prot);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.mmap = map,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "device_memory",
	.fops = &operations,
	.mode = 0600,
};

static int __init device_memory_init(void)
{
	int err;

	memory = alloc_pages_exact(LENGTH, GFP_KERNEL | __GFP_ZERO);
	if (!memory)
		return -ENOMEM;
	memcpy(memory, "ELISADEV", 8);
	err = misc_register(&device);
	if (err)
		free_pages_exact(memory, LENGTH);
	return err;
}
module_init(device_memory_init);

static void __exit device_memory_exit(void)
{
	misc_deregister(&device);
	free_pages_exact(memory, LENGTH);
}
module_exit(device_memory_exit);

MODULE_DESCRIPTION("Memory that cannot be pinned, for the lab");
MODULE_LICENSE("GPL");
