// SPDX-License-Identifier: Apache-2.0
/* The page's files inside the program, see assets.S. */
#pragma once

extern const unsigned char asset_index_html[], asset_index_html_end[];
extern const unsigned char asset_index_html_gz[], asset_index_html_gz_end[];
extern const unsigned char asset_app_js[], asset_app_js_end[];
extern const unsigned char asset_app_js_gz[], asset_app_js_gz_end[];
extern const unsigned char asset_app_css[], asset_app_css_end[];
extern const unsigned char asset_app_css_gz[], asset_app_css_gz_end[];
