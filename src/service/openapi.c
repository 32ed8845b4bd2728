// SPDX-License-Identifier: Apache-2.0
// The document, one piece a path or schema, with ' for " to be readable here. It changes with the
// table in routes.c: a test asks for every path in it.
#include "service/openapi.h"

static const char *const pieces[] = {
    "{'openapi':'3.1.0','info':{'title':'quipu counter service','version':'0.1.0','license':{"
    "'name':'Apache-2.0','identifier':'Apache-2.0'},"
    "'description':'Counters that many regions change at once; each region answers from its "
    "own replica.'},'paths':{",
    "'/v1/counters/{key}':{'parameters':[{'$ref':'#/components/parameters/Key'}],'get':{"
    "'operationId':'getCounter','summary':'Reads a counter.','parameters':[{"
    "'$ref':'#/components/parameters/IfNoneMatch'}],'responses':{'200':{"
    "'$ref':'#/components/responses/Counter'},'304':{'description':'It has not changed.'},"
    "'404':{'$ref':'#/components/responses/Problem'},'503':{"
    "'$ref':'#/components/responses/Problem'}}},'delete':{'operationId':'deleteCounter',"
    "'summary':'Deletes a counter as it is seen here; increments elsewhere that are not seen "
    "yet survive.','responses':{'204':{'description':'It is gone, or was not there.'},'503':{"
    "'$ref':'#/components/responses/Problem'}}}},",
    "'/v1/counters/{key}/increment':{'parameters':[{'$ref':'#/components/parameters/Key'}],"
    "'post':{'operationId':'incrementCounter',"
    "'summary':'Adds to a counter; makes it when it is missing.','requestBody':{"
    "'required':false,'content':{'application/json':{'schema':{"
    "'$ref':'#/components/schemas/Increment'}}}},'responses':{'200':{"
    "'$ref':'#/components/responses/Counter'},'400':{"
    "'$ref':'#/components/responses/Problem'},'409':{"
    "'$ref':'#/components/responses/Problem'},'503':{"
    "'$ref':'#/components/responses/Problem'}}}},",
    "'/v1/counters':{'get':{'operationId':'getCounters','summary':'Reads several counters.',"
    "'parameters':[{'name':'key','in':'query','required':true,"
    "'description':'Once for each counter.','schema':{'type':'array','items':{"
    "'type':'string'},'minItems':1,'maxItems':1000}}],'responses':{'200':{"
    "'description':'The counters in the order of the keys; the value of a missing one is "
    "null.','content':{'application/json':{'schema':{'type':'object','required':['counters'],"
    "'properties':{'counters':{'type':'array','items':{"
    "'$ref':'#/components/schemas/Counter'}}}}}}},'400':{"
    "'$ref':'#/components/responses/Problem'},'503':{"
    "'$ref':'#/components/responses/Problem'}}}},",
    "'/v1/counters/{key}/parts':{'parameters':[{'$ref':'#/components/parameters/Key'}],'get':{"
    "'operationId':'getParts','summary':'Tells of which origins a counter is made.',"
    "'responses':{'200':{'description':'Its type, value and parts.','content':{"
    "'application/json':{'schema':{'type':'object'}}}},'404':{"
    "'$ref':'#/components/responses/Problem'},'503':{"
    "'$ref':'#/components/responses/Problem'}}}},",
    "'/v1/keys':{'get':{'operationId':'getKeys',"
    "'summary':'Lists keys, some a call, until the cursor is 0 again.','parameters':[{"
    "'name':'match','in':'query','description':'A pattern as of KEYS in Redis.','schema':{"
    "'type':'string'}},{'name':'cursor','in':'query','schema':{'type':'string'}}],"
    "'responses':{'200':{'description':'Keys, and where to go on.','content':{"
    "'application/json':{'schema':{'type':'object','required':['cursor','keys'],"
    "'properties':{'cursor':{'type':'string'},'keys':{'type':'array','items':{"
    "'type':'string'}}}}}}},'400':{'$ref':'#/components/responses/Problem'},'503':{"
    "'$ref':'#/components/responses/Problem'}}}},",
    "'/v1/region':{'get':{'operationId':'getRegion','summary':'Tells how the database is.',"
    "'responses':{'200':{'description':'Facts.','content':{'application/json':{'schema':{"
    "'type':'object'}}}},'503':{'$ref':'#/components/responses/Problem'}}}},",
    "'/{page}/counter':{'parameters':[{'$ref':'#/components/parameters/Page'}],'get':{"
    "'operationId':'getPage','summary':'Reads the counter whose key is the page.',"
    "'parameters':[{'$ref':'#/components/parameters/IfNoneMatch'}],'responses':{'200':{"
    "'$ref':'#/components/responses/Counter'},'304':{'description':'It has not changed.'},"
    "'404':{'$ref':'#/components/responses/Problem'},'503':{"
    "'$ref':'#/components/responses/Problem'}}},'put':{'operationId':'setPage',"
    "'summary':'Sets it; increments elsewhere that are not seen here yet survive.',"
    "'requestBody':{'required':true,'content':{'application/json':{'schema':{"
    "'$ref':'#/components/schemas/Setting'}}}},'responses':{'200':{"
    "'$ref':'#/components/responses/Counter'},'400':{"
    "'$ref':'#/components/responses/Problem'},'409':{"
    "'$ref':'#/components/responses/Problem'},'503':{"
    "'$ref':'#/components/responses/Problem'}}}},",
    "'/v1/links':{'get':{'operationId':'getLinks',"
    "'summary':'Tells the state of the links to the other replicas.','responses':{'200':{"
    "'description':'The links.','content':{'application/json':{'schema':{"
    "'$ref':'#/components/schemas/Links'}}}},'503':{"
    "'$ref':'#/components/responses/Problem'}}},'post':{'operationId':'switchLinks',"
    "'summary':'Cuts links to other replicas or heals them: a drill,"
    " where the database allows it.','requestBody':{'required':true,'content':{"
    "'application/json':{'schema':{'$ref':'#/components/schemas/Switch'}}}},'responses':{"
    "'200':{'description':'The links after it.','content':{'application/json':{'schema':{"
    "'$ref':'#/components/schemas/Links'}}}},'400':{'$ref':'#/components/responses/Problem'},"
    "'403':{'$ref':'#/components/responses/Problem'},'404':{"
    "'$ref':'#/components/responses/Problem'},'503':{"
    "'$ref':'#/components/responses/Problem'}}}},",
    "'/livez':{'get':{'operationId':'getLivez','summary':'Whether the process serves.',"
    "'responses':{'200':{'description':'It does.','content':{'text/plain':{'schema':{"
    "'type':'string'}}}}}}},",
    "'/readyz':{'get':{'operationId':'getReadyz',"
    "'summary':'Whether the database answers and the service is not being stopped.',"
    "'responses':{'200':{'description':'So it is.','content':{'text/plain':{'schema':{"
    "'type':'string'}}}},'503':{'$ref':'#/components/responses/Problem'}}}},",
    "'/metrics':{'get':{'operationId':'getMetrics',"
    "'summary':'Metrics in the text format of Prometheus.','responses':{'200':{"
    "'description':'The metrics.','content':{'text/plain':{'schema':{'type':'string'}}}}}}},",
    "'/openapi.json':{'get':{'operationId':'getOpenapi','summary':'This document.',"
    "'responses':{'200':{'description':'The document.','content':{'application/json':{"
    "'schema':{'type':'object'}}}}}}}},",
    "'components':{'parameters':{'Key':{'name':'key','in':'path','required':true,"
    "'description':'The key, percent-encoded bytes.','schema':{'type':'string',"
    "'minLength':1}},'Page':{'name':'page','in':'path','required':true,"
    "'description':'The page, percent-encoded.','schema':{'type':'string','minLength':1}},"
    "'IfNoneMatch':{'name':'If-None-Match','in':'header','schema':{'type':'string'}}},"
    "'schemas':{",
    "'Integer':{'description':'A number; beyond 2^53 a string of its digits.','oneOf':[{"
    "'type':'integer'},{'type':'string','pattern':'^-?[0-9]+$'}]},",
    "'Counter':{'type':'object','required':['key','value','type','version','epoch'],"
    "'properties':{'key':{'type':'string'},'value':{"
    "'description':'null: no such counter. The cardinality of a set,"
    " the total of a presence.','oneOf':[{'$ref':'#/components/schemas/Integer'},{"
    "'type':'null'}]},'type':{'enum':['counter','gcounter','gset','presence',null]},"
    "'version':{'description':'Rises with each change; compared only within one epoch.',"
    "'oneOf':[{'$ref':'#/components/schemas/Integer'},{'type':'null'}]},'epoch':{"
    "'type':'string','description':'One life of the database.'}}},",
    "'Increment':{'type':'object','properties':{'by':{'default':1,'oneOf':[{"
    "'$ref':'#/components/schemas/Integer'}]}}},",
    "'Setting':{'type':'object','required':['value'],'properties':{'value':{"
    "'$ref':'#/components/schemas/Integer'}}},",
    "'Link':{'type':'object','required':['replica','address','state','changes_behind',"
    "'bytes_behind','heard_ms'],'properties':{'replica':{'type':'string'},'address':{"
    "'type':'string'},'state':{'enum':['up','down','cut','joining']},'changes_behind':{"
    "'$ref':'#/components/schemas/Integer'},'bytes_behind':{"
    "'$ref':'#/components/schemas/Integer'},'heard_ms':{"
    "'description':'Milliseconds since it was heard; -1: never.','type':'integer'}}},",
    "'Links':{'type':'object','required':['replica','links'],'properties':{'replica':{"
    "'type':'string'},'links':{'type':'array','items':{"
    "'$ref':'#/components/schemas/Link'}}}},",
    "'Switch':{'type':'object','required':['action','replica'],'properties':{'action':{"
    "'enum':['cut','heal']},'replica':{'type':'string','description':'The name of a replica,"
    " or ALL.'}}},",
    "'Problem':{'type':'object','description':'RFC 9457','required':['type','title','status',"
    "'detail'],'properties':{'type':{'type':'string'},'title':{'type':'string'},'status':{"
    "'type':'integer'},'detail':{'type':'string'}}}},",
    "'responses':{'Counter':{'description':'The counter.','headers':{'ETag':{"
    "'description':'Opaque; it changes with the value and with the "
    "version','schema':{'type':'string'}}},'content':{"
    "'application/json':{'schema':{'$ref':'#/components/schemas/Counter'}}}},'Problem':{"
    "'description':'What is wrong.','content':{'application/problem+json':{'schema':{"
    "'$ref':'#/components/schemas/Problem'}}}}}}}",
};

void openapi_put(struct buf *out)
{
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t start = out->len;
        buf_put_text(out, pieces[i]);
        for (size_t at = start; at < out->len; at++) {
            if (out->ptr[at] == '\'')
                out->ptr[at] = '"';
        }
    }
}
