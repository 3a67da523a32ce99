/* A driver for pcscd that shows one slot a reader. Debian's vpcd shows two, and Yubico's client takes the empty one
 * for a second key. Everything but that one answer is vpcd's, which is linked in. Source: pcsc-lite's ifdhandler.h. */
#define _GNU_SOURCE
#include <dlfcn.h>

#define TAG_IFD_SLOTS_NUMBER 0x0FAE
#define IFD_SUCCESS 0
#define IFD_COMMUNICATION_ERROR 612

typedef long (*capabilities)(unsigned long, unsigned long, unsigned long *, unsigned char *);

long IFDHGetCapabilities(unsigned long lun, unsigned long tag, unsigned long *length, unsigned char *value)
{
    if (tag == TAG_IFD_SLOTS_NUMBER && *length >= 1) {
        *length = 1;
        *value = 1;
        return IFD_SUCCESS;
    }
    capabilities vpcd = (capabilities) dlsym(RTLD_NEXT, "IFDHGetCapabilities");
    return vpcd ? vpcd(lun, tag, length, value) : IFD_COMMUNICATION_ERROR;
}
