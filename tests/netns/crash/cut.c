/* Cuts glusterd off between two changes of its store, preloaded: counts what it makes, syncs, renames and removes below
   /var/lib/glusterd in the page that TRIVET_CUT names, and has everything in its node killed before change number `at`.
   Each change is a line in the file beside it, NAME.log. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#define STORE "/var/lib/glusterd/"

static struct { int done, at; } *page;
static int lines = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("TRIVET_CUT");
    char log[256];
    if (!name || strcmp(program_invocation_short_name, "glusterd"))
        return;
    int file = open(name, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    snprintf(log, sizeof log, "%s.log", name);
    lines = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (mapped != MAP_FAILED)
        page = mapped;
}

static void step(const char *what, const char *path)
{
    if (!page || strncmp(path, STORE, sizeof STORE - 1))
        return;
    int saved = errno, number = __sync_add_and_fetch(&page->done, 1);
    dprintf(lines, "%d %s %s\n", number, what, path + sizeof STORE - 1);
    if (number == page->at) {
        kill(-1, SIGKILL);
        kill(getpid(), SIGKILL);
    }
    errno = saved;
}

static void step_of(const char *what, int handle)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t size = readlink(link, path, sizeof path - 2);
    if (size > 0) {
        memcpy(path + size, "/", 2);
        step(what, path);
    }
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                                                      \
        va_end(rest);                                                                                                  \
        if ((flags & O_CREAT && access(path, F_OK)) || flags & O_TRUNC)                                                \
            step("make", path);                                                                                        \
        return REAL(name)(path, flags, mode);                                                                          \
    }
OPEN(open)
OPEN(open64)

int fsync(int handle)
{
    step_of("sync", handle);
    return REAL(fsync)(handle);
}

int rename(const char *from, const char *to)
{
    step("rename", to);
    return REAL(rename)(from, to);
}

int unlink(const char *path)
{
    step("remove", path);
    return REAL(unlink)(path);
}

int rmdir(const char *path)
{
    step("remove", path);
    return REAL(rmdir)(path);
}

int mkdir(const char *path, mode_t mode)
{
    if (access(path, F_OK))
        step("make", path);
    return REAL(mkdir)(path, mode);
}
