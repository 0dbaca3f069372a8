/*
 * log_rig.h - a directory for a log, and looking into it.
 */
#pragma once

#include "test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "journal/file.h"

static struct {
    char home[64];
    char dir[128]; /* home/logs, not there at first */
} rig;

static int rig_set_up(void **state UNUSED)
{
    strcpy(rig.home, "/tmp/inferd-log-XXXXXX");
    if (!mkdtemp(rig.home))
        return -1;
    snprintf(rig.dir, sizeof rig.dir, "%s/logs", rig.home);
    return 0;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *ftw UNUSED)
{
    return remove(path);
}

static inline void remove_tree(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int rig_tear_down(void **state UNUSED)
{
    remove_tree(rig.home);
    return 0;
}

/* The path of a generation; 0 is the live file. */
static inline const char *path_of(int generation)
{
    static char path[192];
    if (generation)
        snprintf(path, sizeof path, "%s/%s.%d", rig.dir, LOG_FILE_NAME, generation);
    else
        snprintf(path, sizeof path, "%s/%s", rig.dir, LOG_FILE_NAME);
    return path;
}

/* Its size; -1 if it is not there. */
static inline off_t size_of(int generation)
{
    struct stat st;
    return lstat(path_of(generation), &st) < 0 ? -1 : st.st_size;
}

/* Its text, to be freed. */
static inline char *text_of(int generation)
{
    char *text;
    size_t len;
    struct error error;
    if (file_read(path_of(generation), (size_t)1 << 30, &text, &len, &error))
        fail_msg("%s", error.message);
    return text;
}

static inline void assert_text(int generation, const char *want)
{
    char *text = text_of(generation);
    assert_string_equal(text, want);
    free(text);
}
